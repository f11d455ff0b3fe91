# For those without flakes: `nix-build -A nix2oci`, `nix-env -f . -iA nix2oci`, or
# `(import nix2oci { inherit pkgs; }).nix2oci` in an expression; `.lib.buildImage` makes images.
{
  pkgs ? import <nixpkgs> { },
}:
let
  nix2oci = pkgs.callPackage ./nix/package.nix { };
in
{
  inherit nix2oci;
  lib = import ./nix/lib.nix { inherit pkgs nix2oci; };
}
