# A web application in Python: Flask, an interpreter that has it, and a wrapper that starts
# the application with it. It serves a page and /healthz on $PORT, 8080 unless told.
#
#     nix2oci build path:flakes/web-python
{
  description = "A web application with Flask";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs:
        let
          python = pkgs.python3.withPackages (ps: [ ps.flask ]);
        in
        {
          default = pkgs.stdenv.mkDerivation {
            pname = "web";
            version = "1.0";
            src = ./.;
            nativeBuildInputs = [ pkgs.makeWrapper ];
            dontBuild = true;
            installPhase = ''
              runHook preInstall
              install -Dm644 web.py $out/share/web/web.py
              makeWrapper ${python}/bin/python3 $out/bin/web \
                --set-default SSL_CERT_FILE ${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt \
                --set PYTHONUNBUFFERED 1 \
                --add-flags "-B $out/share/web/web.py"
              runHook postInstall
            '';
            meta.mainProgram = "web";
          };
        });
    };
}
