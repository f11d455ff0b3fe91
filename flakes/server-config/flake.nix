# A server with its configuration in the store: redis, and a wrapper that hands it the file.
# Arguments of the container are redis's own: `--port 7000` is added to what the file says.
#
#     nix2oci build path:flakes/server-config
{
  description = "redis as a cache, configured";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs:
        let
          config = pkgs.writeText "redis.conf" ''
            bind * -::*
            protected-mode no
            maxmemory 64mb
            maxmemory-policy allkeys-lru
            # A cache: nothing is written, so that the root may be read-only.
            save ""
            dir /tmp
          '';
        in
        {
          default = pkgs.runCommand "redis-cache"
            {
              nativeBuildInputs = [ pkgs.makeWrapper ];
              meta.mainProgram = "redis-cache";
            } ''
            makeWrapper ${pkgs.redis}/bin/redis-server $out/bin/redis-cache --add-flags ${config}
          '';
        });
    };
}
