"""An application that is edited again and again, on top of a large closure that stays."""

from dataclasses import dataclass
from pathlib import Path

from real.distro import out_path

_FLAKE = """\
{
  inputs.nixpkgs.url = "path:DISTRO";
  outputs = { self, nixpkgs }: {
    packages = builtins.mapAttrs (system: pkgs: {
      default = pkgs.stdenv.mkDerivation {
        name = "app";
        src = ./src;
        nativeBuildInputs = [ pkgs.makeWrapper ];
        dontBuild = true;
        installPhase = ''
          install -Dm644 app.py $out/share/app.py
          makeWrapper ${pkgs.python3}/bin/python3 $out/bin/app \\
            --prefix PATH : PROGRAMS --add-flags "-B $out/share/app.py"
        '';
        meta.mainProgram = "app";
      };
    }) nixpkgs.legacyPackages;
  };
}
"""


@dataclass(frozen=True, slots=True)
class App:
    """A flake whose one package is a wrapped script that finds programs of `distro` in PATH."""

    directory: Path

    @classmethod
    def make(cls, directory: Path, distro: Path, *programs: str) -> "App":
        (directory / "src").mkdir(parents=True)
        path = ":".join(f"${{pkgs.{name}}}/bin" for name in programs)
        flake = _FLAKE.replace("DISTRO", str(distro)).replace("PROGRAMS", path)
        (directory / "flake.nix").write_text(flake)
        app = cls(directory)
        app.edit("the first one")
        return app

    @property
    def installable(self) -> str:
        return f"path:{self.directory}"

    def edit(self, text: str) -> None:
        """Change what the application says."""
        (self.directory / "src/app.py").write_text(f"print({text!r})\n")

    def build(self) -> Path:
        """Let Nix build it: its store path."""
        return out_path(self.installable)
