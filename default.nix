# For those without flakes: `nix-build -A nix2oci`, `nix-env -f . -iA nix2oci`, or
# `(import nix2oci { inherit pkgs; }).nix2oci` in an expression.
{
  pkgs ? import <nixpkgs> { },
}:
{
  nix2oci = pkgs.callPackage ./nix/package.nix { };
}
