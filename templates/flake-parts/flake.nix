# A program, and its image by the module of flake-parts: `nix build .#image-app`, and
# `nix run .#image-app -- --push REGISTRY/REPOSITORY:TAG`.
{
  description = "An image by the module of flake-parts";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.flake-parts.url = "github:hercules-ci/flake-parts";
  inputs.nix2oci.url = "github:OWNER/nix2oci"; # where nix2oci is
  inputs.nix2oci.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    inputs:
    inputs.flake-parts.lib.mkFlake { inherit inputs; } {
      imports = [ inputs.nix2oci.flakeModules.default ];
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      perSystem =
        { config, pkgs, ... }:
        {
          packages.default = pkgs.writeScriptBin "app" ''
            #!${pkgs.python3.interpreter} -B
            import http.server
            http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)
          '';

          nix2oci.images.app = {
            package = config.packages.default;
            # Keys of nix2oci.yaml.
            settings = {
              name = "app"; # or registry.example.com/team/app
              ports = [ 8080 ];
              workdir = "/srv";
            };
          };
        };
    };
}
