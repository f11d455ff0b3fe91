# Apps: programs that `nix run` starts. What an app runs need not be a package's main
# program, so nix2oci takes the app's word: `.` is apps.default, `.#serve` is apps.serve.
#
#     nix2oci build path:flakes/app#serve
{
  description = "Two apps around one page";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        site = pkgs.writeTextDir "share/site/index.html" ''
          <!doctype html>
          <title>site</title>
          <h1>hello from an app</h1>
        '';
      });

      apps = forEachSystem (pkgs:
        let
          site = self.packages.${pkgs.stdenv.hostPlatform.system}.site;
          python = pkgs.python3.interpreter;

          show = pkgs.writeScript "show" ''
            #!${python} -B
            print(open("${site}/share/site/index.html").read(), end="")
          '';

          serve = pkgs.writeScriptBin "serve" ''
            #!${python} -B
            import os, signal, sys
            from functools import partial
            from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            port = int(os.environ.get("PORT", "8080"))
            handler = partial(SimpleHTTPRequestHandler, directory="${site}/share/site")
            server = ThreadingHTTPServer(("", port), handler)
            print(f"listening on port {server.server_port}", flush=True)
            server.serve_forever()
          '';
        in
        {
          default = {
            type = "app";
            program = "${show}";
            meta.description = "Print the page";
          };
          serve = {
            type = "app";
            program = "${serve}/bin/serve";
            meta.description = "Serve the page on $PORT";
          };
        });
    };
}
