# Images that are made in builders, each looked into: of the flake itself, by the bundlers, and by
# the module.
{
  pkgs,
  nix2oci,
  image,
  bundlers,
}:
let
  inherit (pkgs) lib;

  # The module without flake-parts: what `perSystem` has of it, and the two options that it fills.
  evaluated = lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      (import ./images-module.nix { })
      {
        options = lib.genAttrs [ "packages" "apps" ] (
          _: lib.mkOption { type = lib.types.lazyAttrsOf lib.types.raw; }
        );
        config.nix2oci.images.sed = {
          package = pkgs.gnused;
          settings.ports = [ 8080 ];
        };
      }
    ];
  };
  sed = evaluated.config.packages.image-sed;

  # Every image is valid, and in what inspect says of it there is a word.
  check =
    name: images: word:
    pkgs.runCommand "nix2oci-${name}-check" { } ''
      for image in ${toString images}; do
        ${lib.getExe nix2oci} validate --quiet "$image"
        ${lib.getExe nix2oci} inspect --quiet --json "$image" > inspected
        grep -F ${lib.escapeShellArg word} inspected >> "$out"
      done
    '';
in
{
  image = check "image" [ image ] "bin/nix2oci";
  bundler = check "bundler" [
    (bundlers.toOCILayout pkgs.gnused)
    (bundlers.toOCIArchive {
      type = "app";
      program = lib.getExe' pkgs.gnused "sed";
    })
  ] "bin/sed";
  module = check "module" [ sed ] "8080/tcp";
}
