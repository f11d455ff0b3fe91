# nixpkgs' "trivial builders": one file, one script, one command, several packages as one.
{ pkgs, lib }:
let
  inherit (pkgs) stdenv runtimeShell;
in
rec {
  runCommand = name: environment: buildCommand:
    stdenv.mkDerivation ({ inherit name buildCommand; } // environment);
  runCommandLocal = runCommand;

  writeTextFile =
    { name, text, executable ? false, destination ? "", checkPhase ? "", meta ? { } }:
    runCommand name { inherit text executable destination checkPhase meta; } ''
      target=$out$destination
      mkdir -p "$(dirname "$target")"
      printf %s "$text" > "$target"
      [[ -z $executable ]] || chmod +x "$target"
      eval "$checkPhase"
    '';

  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir = path: text:
    writeTextFile { name = baseNameOf path; inherit text; destination = "/${path}"; };

  writeScript = name: text: writeTextFile { inherit name text; executable = true; };
  writeScriptBin = name: text: writeTextFile {
    inherit name text;
    executable = true;
    destination = "/bin/${name}";
    meta.mainProgram = name;
  };

  writeShellScript = name: text: writeScript name "#!${runtimeShell}\n${text}\n";
  writeShellScriptBin = name: text: writeScriptBin name "#!${runtimeShell}\n${text}\n";

  writeShellApplication = { name, text, runtimeInputs ? [ ], meta ? { } }:
    writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      meta = { mainProgram = name; } // meta;
      text = ''
        #!${runtimeShell}
        set -o errexit
        set -o nounset
        set -o pipefail
      '' + lib.optionalString (runtimeInputs != [ ]) ''

        export PATH="${lib.makeBinPath runtimeInputs}:$PATH"
      '' + ''

        ${text}
      '';
    };

  # The files of all paths as links in one tree; directories are real, so that they merge.
  # Of two files with one name, the first path's is taken.
  symlinkJoin =
    { paths, name ? "${args.pname}-${args.version}", postBuild ? "", ... }@args:
    runCommand name (removeAttrs args [ "name" "postBuild" ]) ''
      for path in $(printf '%s\n' $paths | tac); do linkTree "$path" "$out"; done
      ${postBuild}
    '';

  buildEnv = { name, paths, pathsToLink ? [ "/" ], postBuild ? "", meta ? { }, ... }:
    runCommand name { inherit paths pathsToLink meta; } ''
      mkdir -p "$out"
      for path in $(printf '%s\n' $paths | tac); do
        for below in $pathsToLink; do linkTree "$path$below" "$out$below"; done
      done
      ${postBuild}
    '';

  mkShell = { packages ? [ ], inputsFrom ? [ ], name ? "nix-shell" }:
    stdenv.mkDerivation {
      inherit name;
      nativeBuildInputs = packages ++ lib.concatMap (input: input.nativeBuildInputs or [ ]) inputsFrom;
      buildCommand = "env > $out";
    };

  # What Nix knows of store paths, as `nix-store --load-db` reads it.
  closureInfo = { rootPaths }:
    let
      with' = change: derivation (change // {
        name = "closure-info";
        inherit (stdenv) system;
        builder = "/usr/bin/python3";
        args = [ "-sEB" ./builders/closure_info.py ];
        __structuredAttrs = true;
        exportReferencesGraph.closure = rootPaths;
      });
    in
    with' { } // { overrideAttrs = with'; };

  formats.json = { }: { type = lib.types.raw; };

  makeWrapper = runCommand "make-shell-wrapper-hook" { } ''
    mkdir -p "$out/nix-support"
    {
      echo "runtimeShell=${runtimeShell}"
      cat ${./builders/make-wrapper.sh}
    } > "$out/nix-support/setup-hook"
  '';
  makeShellWrapper = makeWrapper;
}
