# A small stdenv: the phases and hooks that packages rely on, with the compiler and the
# basic tools of the machine, and files that refer to the store's C library in the end.
{ pkgs, lib, facts }:
let
  inherit (builtins) isFunction removeAttrs;

  # What every result may refer to, as in nixpkgs' stdenv.
  base = with pkgs; [ bash coreutils gnused gnugrep gawk findutils glibc libgcc-s1 ]
    ++ lib.optional (pkgs ? "libstdc++6") pkgs."libstdc++6";

  # What Nix code knows of a package, and its builder does not.
  hidden = [ "meta" "passthru" "env" "pos" ];

  defaults = {
    builder = "/bin/bash";
    args = [ "-e" ./builders/stdenv.sh ];
    inherit (facts) system multiarch;
    loader = "${pkgs.glibc}/lib/${facts.multiarch}/${facts.loader}";
    relink = "${./builders}/relink.py";
    runtimeShell = "${pkgs.bash}/bin/bash";
    baseInputs = base;
    LC_ALL = "C";
    SOURCE_DATE_EPOCH = "1";
  };

  name = attributes: attributes.name or "${attributes.pname}-${attributes.version}";

  mkDerivation = attributesOrFunction:
    let
      attributes =
        if isFunction attributesOrFunction then attributesOrFunction final else attributesOrFunction;
      drv = derivation (defaults
        // { name = name attributes; }
        // removeAttrs attributes hidden
        // attributes.env or { });
      outputs = attributes.outputs or [ "out" ];
      common = (attributes.passthru or { }) // {
        inherit outputs;
        meta = { outputsToInstall = [ (lib.head outputs) ]; } // attributes.meta or { };
        overrideAttrs = change: mkDerivation (attributes // (
          if isFunction change then change attributes else change
        ));
      };
      # Each output knows the package's meta, as `nix build pkg^dev` and lib.getExe expect.
      final = attributes // drv // common // lib.genAttrs outputs (o: attributes // drv.${o} // common);
    in
    final;
in
{
  inherit mkDerivation;
  inherit (facts) system;
  hostPlatform = {
    inherit (facts) system;
    isLinux = true;
    isDarwin = false;
  };
  buildPlatform = {
    inherit (facts) system;
    isLinux = true;
    isDarwin = false;
  };
  shell = "${pkgs.bash}/bin/bash";
}
