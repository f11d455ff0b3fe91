"""What bash knows of its variables, beside the bash of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.tools import require

from nix2oci.wrappers.variables import PRESET, is_special, path_preset


@pytest.mark.parametrize(
    ("binary", "expected"),
    [
        pytest.param(b"\0a\0/no-such-path\0", b"/no-such-path", id="nixpkgs' bash"),
        pytest.param(b"\0/no-such-path/x\0", None, id="another text that begins so"),
        pytest.param(
            b"\0/no-such-path\0\0/usr/gnu/bin:/usr/local/bin:/bin:/usr/bin:.\0",
            None,
            id="two of them",
        ),
        pytest.param(b"", None, id="none"),
    ],
)
def test_path_preset(binary: bytes, expected: bytes | None) -> None:
    assert path_preset(binary) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(b"IFS", True, id="the separators of words"),
        pytest.param(b"BASH_ENV", True, id="all that begins with BASH"),
        pytest.param(b"_", True, id="the last word"),
        pytest.param(b"PATH", False, id="PATH, which is handled"),
        pytest.param(b"LC_ALL", False, id="the locale"),
        pytest.param(b"LD_LIBRARY_PATH", False, id="what the shell does not look at"),
    ],
)
def test_special(name: bytes, *, expected: bool) -> None:
    assert is_special(name) is expected


def _bash() -> bytes:
    require("bash")
    return os.fsencode(os.path.realpath(shutil.which("bash") or ""))


@pytest.mark.real
def test_path_preset_of_the_bash_of_this_machine() -> None:
    bash = _bash()
    told = subprocess.run(
        [bash, "-c", 'printf %s "$PATH"'], env={}, stdout=subprocess.PIPE, check=True
    ).stdout
    assert path_preset(Path(os.fsdecode(bash)).read_bytes()) == told


@pytest.mark.real
def test_all_that_bash_presets_is_known(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"#!" + _bash() + b" -e\ncompgen -v\n")
    script.chmod(0o755)
    done = subprocess.run([script], env={}, stdout=subprocess.PIPE, check=True)
    names = done.stdout.split()
    assert b"IFS" in names
    assert [n for n in names if not is_special(n) and n not in (b"PATH", *PRESET)] == []
