"""share/ is what the command says today: man pages, and what shells complete it by."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import ROOT
from support.share_files import files
from support.terminal import Terminal

pytestmark = pytest.mark.pages

SHARE = ROOT / "share"


def test_the_files_are_what_the_command_says() -> None:
    there = [path for path in SHARE.rglob("*") if path.is_file()]
    found = {str(path.relative_to(SHARE)): path.read_text() for path in there}
    assert found == files(), "rewrite them: ./dev pages"


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "bash-completion/completions/nix2oci"),
        ("fish", "fish/vendor_completions.d/nix2oci.fish"),
        ("zsh", "zsh/site-functions/_nix2oci"),
    ],
)
def test_a_shell_finds_what_the_command_prints(tmp_path: Path, shell: str, path: str) -> None:
    done = Terminal.make(tmp_path).run("completion", shell)
    assert done.stdout == (SHARE / path).read_text()
