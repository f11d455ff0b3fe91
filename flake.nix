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
      library =
        pkgs:
        import ./nix/lib.nix {
          inherit pkgs;
          nix2oci = package pkgs;
        };

      # Images hold Linux programs: those of a Mac have the programs of its processor.
      linuxOf =
        pkgs:
        nixpkgs.legacyPackages.${
          lib.replaceStrings [ "-darwin" ] [ "-linux" ] pkgs.stdenv.hostPlatform.system
        };
      image =
        pkgs:
        (library pkgs).buildImage {
          package = package (linuxOf pkgs);
          contents = [ (linuxOf pkgs).cacert ];
          flake = self;
        };
    in
    {
      packages = forEachSystem (pkgs: {
        default = package pkgs;
        nix2oci = package pkgs;
        image = image pkgs;
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
        image = {
          path = ./templates/image;
          description = "A program, and its image as a derivation";
        };
        flake-parts = {
          path = ./templates/flake-parts;
          description = "A program, and its image by the module of flake-parts";
        };
        ci = {
          path = ./templates/ci;
          description = "A pipeline that builds and pushes the image of a flake";
        };
      };

      # Functions of one set, `pkgs` being a part of it.
      lib = lib.genAttrs [ "buildImage" "streamImage" "pullImage" ] (
        name:
        { pkgs, ... }@arguments:
        (library pkgs).${name} (removeAttrs arguments [ "pkgs" ])
      );

      legacyPackages = forEachSystem library;

      bundlers = forEachSystem (pkgs: rec {
        default = toOCILayout;
        toOCILayout = package: (library pkgs).buildImage { inherit package; };
        toOCIArchive =
          package:
          (library pkgs).buildImage {
            inherit package;
            archive = true;
          };
      });

      flakeModules.default = ./nix/flake-module.nix;
      flakeModule = ./nix/flake-module.nix;

      checks = forEachSystem (
        pkgs:
        {
          package = package pkgs;
          launchers = pkgs.runCommand "nix2oci-launchers-check" { } ''
            cd ${(package pkgs).launchers}
            sha256sum --check ${./nix2oci/launcher/launchers.sha256} | tee "$out"
          '';
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux (
          import ./nix/checks.nix {
            inherit pkgs;
            nix2oci = package pkgs;
            image = image pkgs;
            bundlers = self.bundlers.${pkgs.stdenv.hostPlatform.system};
          }
        )
      );

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
    };
}
