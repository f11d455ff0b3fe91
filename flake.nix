{
  description = "One command from a flake output to an OCI image";

  # The only input, so that `inputs.nix2oci.inputs.nixpkgs.follows` is all there is to say.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      # For each of these that nixpkgs has.
      forEachSystem =
        make:
        lib.mapAttrs (_: make) (
          builtins.intersectAttrs (lib.genAttrs systems lib.id) nixpkgs.legacyPackages
        );
      package = pkgs: pkgs.callPackage ./nix/package.nix { };
    in
    {
      packages = forEachSystem (pkgs: {
        default = package pkgs;
        nix2oci = package pkgs;
      });

      apps = forEachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (package pkgs);
          meta.description = "Make an OCI image of a flake output";
        };
      });

      overlays.default = final: _: { nix2oci = package final; };

      templates = rec {
        default = app;
        app = {
          path = ./templates/app;
          description = "A program, and the settings of its image";
        };
        multi = {
          path = ./templates/multi;
          description = "Several images of one flake";
        };
        ci = {
          path = ./templates/ci;
          description = "A pipeline that builds and pushes the image of a flake";
        };
      };

      checks = forEachSystem (pkgs: {
        package = package pkgs;
        launchers = pkgs.runCommand "nix2oci-launchers-check" { } ''
          cd ${(package pkgs).launchers}
          sha256sum --check ${./nix2oci/launcher/launchers.sha256} | tee "$out"
        '';
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (package pkgs) ];
          packages = [
            pkgs.mypy
            pkgs.ruff
            pkgs.shellcheck
          ];
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);

      # Images as derivations go here: lib, legacyPackages, bundlers, flakeModules, packages.image.
    };
}
