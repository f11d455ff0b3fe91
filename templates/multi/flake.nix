# Two programs; nix2oci.yaml says which images are made of them, and `nix2oci build --all` makes
# those in one run.
{
  description = "Several images of one flake";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
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
          program =
            name: text:
            pkgs.writeScriptBin name ''
              #!${pkgs.python3.interpreter} -B
              ${text}
            '';
        in
        {
          web = program "web" ''
            import http.server
            http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)
          '';
          worker = program "worker" ''
            import time
            while True:
                print("working", flush=True)
                time.sleep(60)
          '';
        }
      );
    };
}
