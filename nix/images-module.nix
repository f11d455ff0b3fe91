# What the module of flake-parts adds to `perSystem`; `flake` is the one that uses it.
flake:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  library = import ./lib.nix { inherit pkgs; };

  image = {
    options = {
      package = mkOption {
        type = types.raw;
        description = "Package or app that the image is made of and starts.";
      };
      contents = mkOption {
        type = types.listOf types.raw;
        default = [ ];
        description = "Packages that are in the image as well.";
      };
      settings = mkOption {
        inherit (pkgs.formats.json { }) type;
        default = { };
        description = "Keys of nix2oci.yaml, or such a file.";
      };
      fromImage = mkOption {
        type = types.raw;
        default = null;
        description = "Image that this one is put on: a layout or an archive, as of pullImage.";
      };
      archive = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the package is one tar instead of a layout directory.";
      };
    };
  };

  built = lib.mapAttrs (
    _: each:
    library.buildImage {
      inherit (each)
        package
        contents
        settings
        fromImage
        archive
        ;
      inherit flake;
    }
  ) config.nix2oci.images;
  named = make: lib.mapAttrs' (name: each: lib.nameValuePair "image-${name}" (make each)) built;
in
{
  options.nix2oci.images = mkOption {
    type = types.lazyAttrsOf (types.submodule image);
    default = { };
    description = ''
      Images by name. `packages.image-NAME` is the image as a derivation, and
      `nix run .#image-NAME -- --push REF` makes it on this machine and pushes it.
    '';
  };

  config = {
    packages = named (each: each);
    apps = named (each: {
      type = "app";
      program = lib.getExe each.stream;
      meta.description = "Make the ${each.meta.description}";
    });
  };
}
