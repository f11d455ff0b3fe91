# Programs behind wrappers, as nixpkgs has many of them: bash scripts that set variables and
# execute the program. nix2oci replaces those that it can prove equivalent by launchers, and
# where nothing else needs a shell, the image has none.
#
#     nix2oci build path:flakes/wrapped
#     nix2oci plan path:flakes/wrapped#run     a wrapper that stays, and why
{
  description = "Programs behind wrappers";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs:
        let
          wrap = name: installPhase: pkgs.stdenv.mkDerivation {
            inherit name installPhase;
            src = ./.;
            nativeBuildInputs = [ pkgs.makeWrapper ];
            dontBuild = true;
            meta.mainProgram = name;
          };

          show = pkgs.stdenv.mkDerivation {
            name = "show";
            src = ./.;
            buildPhase = "$CC -O2 -Wall -o show show.c";
            installPhase = "install -Dm755 show $out/bin/show";
            meta.mainProgram = "show";
          };
        in
        rec {
          inherit show;
          default = wrapped;

          wrapped = wrap "wrapped" ''
            makeWrapper ${show}/bin/show $out/bin/wrapped \
              --inherit-argv0 \
              --set ANSWER "it's 42" \
              --set-default GREETING hello \
              --unset TERM \
              --prefix PATH : ${show}/bin \
              --suffix PATH : ${show}/bin:/usr/games \
              --prefix XDG_DATA_DIRS : ${show}/share:${show}/more \
              --chdir /tmp \
              --add-flags "--config ${show}/etc/x --name 'a b'" \
              --append-flags --last
          '';

          twice = wrap "twice" ''
            install -Dm755 ${show}/bin/show $out/bin/twice
            wrapProgram $out/bin/twice --set INNER 1 --prefix PATH : /inner
            wrapProgram $out/bin/twice --set OUTER 2 --prefix PATH : /outer --add-flags --outer
          '';

          application = pkgs.writeShellApplication {
            name = "application";
            runtimeInputs = [ show ];
            text = ''exec show --from application "$@"'';
          };

          perl = wrap "hello-perl" ''
            mkdir -p $out/bin
            cat > $out/bin/hello-perl <<'END'
            #!${pkgs.perl}/bin/perl
            use POSIX;
            print "argument: $_\n" for @ARGV;
            print "greeting: $ENV{GREETING}, floor: ", floor(4.2), "\n";
            END
            chmod +x $out/bin/hello-perl
            wrapProgram $out/bin/hello-perl --set GREETING hello
          '';

          python = wrap "hello-python" ''
            install -Dm644 app.py $out/share/app.py
            makeWrapper ${pkgs.python3}/bin/python3 $out/bin/hello-python \
              --set GREETING hello --add-flags "-B $out/share/app.py"
          '';

          gunicorn = wrap "web" ''
            install -Dm644 web.py $out/share/web.py
            makeWrapper ${pkgs.python3.withPackages (ps: [ ps.gunicorn ])}/bin/python3 $out/bin/web \
              --set GREETING hello --set PYTHONDONTWRITEBYTECODE 1 \
              --add-flags "-m gunicorn --chdir $out/share --worker-tmp-dir /tmp web:app"
          '';

          # These stay as they are: a line that does something, and a program that is a script.
          run = wrap "run" ''
            makeWrapper ${show}/bin/show $out/bin/run --run 'mkdir -p "$HOME/.run"'
          '';

          script = wrap "script" ''
            install -Dm755 ${pkgs.writeShellScript "script" "for word; do echo $word; done"} $out/bin/script
            wrapProgram $out/bin/script --set GREETING hello
          '';
        });
    };
}
