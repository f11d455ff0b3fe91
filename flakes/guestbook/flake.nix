# A server as it is run in earnest: a user of its own, a configuration in /etc, static files of the
# repository, a directory that it writes to, a health check, and no shell. nix2oci.yaml says all
# but the program.
#
#     nix2oci build path:flakes/guestbook
{
  description = "A guest book";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.runCommand "guestbook"
          {
            nativeBuildInputs = [ pkgs.makeWrapper ];
            meta.mainProgram = "guestbook";
          } ''
          makeWrapper ${pkgs.python3}/bin/python3 $out/bin/guestbook \
            --add-flags "-BuI ${./guestbook.py}"
        '';
      });
    };
}
