# Several programs in one package, none of them the main one: nix2oci cannot know which to
# start, says so with the choices, and is told.
#
#     nix2oci build path:flakes/tools --entrypoint upper
{
  description = "Small filters of text";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.stdenv.mkDerivation {
          pname = "text-tools";
          version = "1.0";
          src = ./.;
          makeFlags = [ "PREFIX=$(out)" ];
        };
      });
    };
}
