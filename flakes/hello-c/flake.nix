# A C program: one package, one program, nothing said about images. What nix2oci finds by
# itself: the closure is the program and the C library, the entrypoint is bin/hello.
#
#     nix2oci build path:flakes/hello-c
{
  description = "A program in C that greets whoever runs it";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.stdenv.mkDerivation {
          pname = "hello";
          version = "1.0";
          src = ./.;
          buildPhase = ''
            runHook preBuild
            $CC -O2 -Wall -o hello hello.c
            runHook postBuild
          '';
          installPhase = ''
            runHook preInstall
            install -Dm755 hello $out/bin/hello
            runHook postInstall
          '';
        };
      });
    };
}
