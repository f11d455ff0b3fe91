# What nixpkgs has of Python beside Debian's modules: `fetchPypi`, `buildPythonApplication` and its
# kin, and packages that are wheels of Python's index. Only the arguments that are named here are
# taken; nixpkgs has each of them.
{ facts, bare, sitePackages, stdenv, runCommand, lib }:
let
  inherit (builtins) concatLists concatStringsSep filter genericClosure mapAttrs;

  wheel = ./python/wheel.py;
  interpreter = "${bare}/bin/python3";

  # A file that `make` has put into the store; `hash` is of any form.
  fixed = name: hash: derivation {
    inherit name;
    inherit (facts) system;
    builder = "/bin/sh";
    args = [ "-c" "echo \"$name is not in the Nix store: name it to flakes/distro/make\" >&2; exit 1" ];
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = hash;
  };

  fetchPypi =
    { pname, version, hash, format ? "setuptools", dist ? "py2.py3", python ? "py2.py3", abi ? "none", platform ? "any" }:
    fixed
      (if format == "wheel"
      then "${pname}-${version}-${python}-${abi}-${platform}.whl"
      else "${pname}-${version}.tar.gz")
      hash;

  wheels = mapAttrs
    (name: entry:
      runCommand "python3-${name}-${entry.version}"
        {
          inherit interpreter sitePackages;
          wheel = fixed entry.file entry.sha256;
          passthru.imports = map (need: wheels.${need}) (filter (need: wheels ? ${need}) entry.needs);
        } ''
        /usr/bin/python3 -sB ${wheel} install "$wheel" "$out"
        inputs=$baseInputs outputs=out /usr/bin/python3 -sEB "$relink"
      '')
    facts.wheels or { };

  # Packages and all that they import, as directories of modules.
  sites = packages: map (entry: "${entry.package}/${sitePackages}") (genericClosure {
    startSet = map keyed packages;
    operator = entry: map keyed entry.package.imports or [ ];
  });
  keyed = package: { key = package.outPath; inherit package; };
  path = packages: concatStringsSep ":" (sites packages);

  pytestCheckHook = wheels.pytest // { isPytestCheckHook = true; };
  flags = option: values: concatLists (map (value: [ option value ]) values);

  buildPythonPackage =
    { pname, version, pyproject, src, build-system
    , dependencies ? [ ], pythonRemoveDeps ? [ ], env ? { }, dontUseCmakeConfigure ? false
    , nativeCheckInputs ? [ ], enabledTestPaths ? [ ], disabledTestPaths ? [ ], disabledTests ? [ ]
    , disabledTestMarks ? [ ], pythonImportsCheck ? [ ], passthru ? { }, meta ? { }
    }:
    assert pyproject;
    let
      expression = words: concatStringsSep " and " (map (word: "not ${word}") words);
      pytest = enabledTestPaths
        ++ map (one: "--ignore=${one}") disabledTestPaths
        ++ flags "-k" (lib.optional (disabledTests != [ ]) (expression disabledTests))
        ++ flags "-m" (lib.optional (disabledTestMarks != [ ]) (expression disabledTestMarks));
      hasTests = lib.any (input: input.isPytestCheckHook or false) nativeCheckInputs;
    in
    stdenv.mkDerivation {
      inherit pname version src env meta interpreter sitePackages;
      sites = sites dependencies;
      dontConfigure = true;
      dontFixup = true;
      buildPhase = ''
        PATH=${concatStringsSep ":" (map (one: "${one}/bin") build-system)}:$PATH \
          PYTHONPATH=${path build-system} /usr/bin/python3 -sB ${wheel} build dist
      '';
      installPhase = ''
        /usr/bin/python3 -sB ${wheel} install dist/*.whl "$out"
      '';
      doInstallCheck = true;
      installCheckPhase = ''
        export PYTHONPATH=$out/${sitePackages}:${path (dependencies ++ nativeCheckInputs)}
        (cd / && ${interpreter} -sB -c '${concatStringsSep ";" (map (name: "import ${name}") pythonImportsCheck)}')
      '' + lib.optionalString hasTests ''
        ${interpreter} -sB -m pytest -q -p no:cacheprovider ${lib.escapeShellArgs pytest}
      '';
      passthru = passthru // { imports = dependencies; };
    };
in
wheels // {
  inherit buildPythonPackage fetchPypi pytestCheckHook;
  buildPythonApplication = buildPythonPackage;
}
