# A program, and its image as a derivation. `nix build .#image` makes it in a builder;
# `nix run .#stream -- --push REGISTRY/REPOSITORY:TAG` makes the same one on this machine, with a
# cache, and nothing of it is in the store.
{
  description = "An image as a derivation";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.nix2oci.url = "github:OWNER/nix2oci"; # where nix2oci is
  inputs.nix2oci.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    {
      self,
      nixpkgs,
      nix2oci,
    }:
    let
      forEachSystem = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      packages = forEachSystem (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          app = pkgs.writeScriptBin "app" ''
            #!${pkgs.python3.interpreter} -B
            import http.server
            http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)
          '';
          wanted = {
            package = app;
            settings = ./nix2oci.yaml; # of `nix2oci build` here, too
            flake = self;
          };
        in
        {
          default = app;
          image = nix2oci.legacyPackages.${system}.buildImage wanted;
          stream = nix2oci.legacyPackages.${system}.streamImage wanted;
        }
      );
    };
}
