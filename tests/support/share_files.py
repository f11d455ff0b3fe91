"""The files in share/, which the wheel has for the `share` of where it is installed.

    ./dev pages

They are man pages, and what shells complete the command by. They are kept in the repository, since
a build of the package has hatchling, and none of the libraries that the command needs to say it.
"""

from __future__ import annotations

from click.shell_completion import get_completion_class
from support import man_pages
from support.paths import ROOT

from nix2oci.cli.app import program

_COMPLETIONS = {
    "bash": "bash-completion/completions/nix2oci",
    "fish": "fish/vendor_completions.d/nix2oci.fish",
    "zsh": "zsh/site-functions/_nix2oci",
}


def files() -> dict[str, str]:
    """What is in each file, by its path in share/."""
    found = {f"man/man1/{name}": text for name, text in man_pages.pages().items()}
    return found | {path: _completion(shell) for shell, path in _COMPLETIONS.items()}


def _completion(shell: str) -> str:
    """What `nix2oci completion` prints."""
    found = get_completion_class(shell)
    assert found is not None
    return found(program, {}, "nix2oci", "_NIX2OCI_COMPLETE").source() + "\n"


if __name__ == "__main__":
    for name, text in files().items():
        path = ROOT / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
