# The module of flake-parts: `perSystem.nix2oci.images.NAME`.
{ flake-parts-lib, self, ... }:
{
  _file = ./flake-module.nix;
  options.perSystem = flake-parts-lib.mkPerSystemOption (import ./images-module.nix self);
}
