# A package that says all about itself. nix2oci reads it: mainProgram is the entrypoint,
# description, homepage, license and version become the image's annotations and labels. Of
# its outputs only `out` is built into the image; `.#default^dev` would name the other.
#
#     nix2oci build path:flakes/metadata
{
  description = "A package with meta and two outputs";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.stdenv.mkDerivation (finalAttrs: {
          pname = "motto";
          version = "2.3.1";
          src = ./src;
          outputs = [ "out" "dev" ];

          buildPhase = ''
            runHook preBuild
            $CC -O2 -Wall -DVERSION='"${finalAttrs.version}"' -o motto motto.c
            $CC -O2 -Wall -DVERSION='"${finalAttrs.version}"' -DCHECK -o motto-check motto.c
            runHook postBuild
          '';
          installPhase = ''
            runHook preInstall
            install -Dm755 -t $out/bin motto motto-check
            install -Dm644 -t $dev/include motto.h
            runHook postInstall
          '';

          meta = {
            description = "Print the motto of the day";
            longDescription = ''
              A program with nothing to do, so that there is room for what is said about it.
            '';
            homepage = "https://example.org/motto";
            changelog = "https://example.org/motto/changelog#${finalAttrs.version}";
            license = pkgs.lib.licenses.mit;
            mainProgram = "motto";
            platforms = pkgs.lib.platforms.linux;
          };
        });
      });
    };
}
