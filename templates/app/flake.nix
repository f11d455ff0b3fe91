# A program, as a flake has it that knows nothing of images; nix2oci.yaml has the settings of its
# image.
{
  description = "A program, and the settings of its image";

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
        in
        {
          default = pkgs.writeScriptBin "app" ''
            #!${pkgs.python3.interpreter} -B
            import http.server, os
            port = int(os.environ.get("PORT", "8080"))
            server = http.server.ThreadingHTTPServer(("", port), http.server.SimpleHTTPRequestHandler)
            print(f"listening on port {server.server_port}", flush=True)
            server.serve_forever()
          '';
        }
      );
    };
}
