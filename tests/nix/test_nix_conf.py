"""Nix's own settings without Nix: where they stand, and which of them counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nix2oci.errors import ConfigError
from nix2oci.nix.nix_conf import Settings

KEYS = "trusted-public-keys"


def words(directory: Path, files: dict[str, str], *options: str, **env: str) -> list[str]:
    """The keys, by files below a directory and what is said besides; `D` is the directory."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    around = {"NIX_CONF_DIR": "D/etc", "HOME": "D/home", **env}
    known = {name: value.replace("D/", f"{directory}/") for name, value in around.items()}
    return Settings.of(known, options).words(KEYS, "default")


SYSTEM, USER = "etc/nix.conf", "home/.config/nix/nix.conf"


@pytest.mark.parametrize(
    ("files", "env", "options", "expected"),
    [
        pytest.param({}, {}, (), ["default"], id="nobody says anything"),
        pytest.param({SYSTEM: f"{KEYS} = a b"}, {}, (), ["a", "b"], id="the system"),
        pytest.param(
            {SYSTEM: f"{KEYS} = a", USER: f"{KEYS} = b"}, {}, (), ["b"], id="the user after it"
        ),
        pytest.param(
            {USER: f"{KEYS} = b"}, {"NIX_CONFIG": f"\n{KEYS}=c\n{KEYS} = d"}, (), None, id="no ="
        ),
        pytest.param(
            {USER: f"{KEYS} = b"}, {"NIX_CONFIG": f"{KEYS} = d"}, (), ["d"], id="NIX_CONFIG"
        ),
        pytest.param(
            {}, {"NIX_CONFIG": f"{KEYS} = d"}, ("--option", KEYS, "e"), ["e"], id="an option"
        ),
        pytest.param(
            {SYSTEM: f"extra-{KEYS} = a"}, {}, (), ["default", "a"], id="more than the default"
        ),
        pytest.param(
            {SYSTEM: f"extra-{KEYS} = a", USER: f"extra-{KEYS} = b"},
            {},
            ("--option", f"extra-{KEYS}", "c d"),
            ["default", "a", "b", "c", "d"],
            id="more each time",
        ),
        pytest.param(
            {SYSTEM: f"extra-{KEYS} = a", USER: f"{KEYS} = b"}, {}, (), ["b"], id="instead of more"
        ),
        pytest.param({SYSTEM: "binary-cache-public-keys = a"}, {}, (), ["a"], id="its old name"),
        pytest.param(
            {USER: f"{KEYS} = a", "x": f"{KEYS} = x", "y": f"{KEYS} = y"},
            {"NIX_USER_CONF_FILES": "D/x:D/y"},
            (),
            ["x"],
            id="of files that are named the first counts, and no other of the user",
        ),
        pytest.param(
            {"conf/nix/nix.conf": f"{KEYS} = a", "all/nix/nix.conf": f"{KEYS} = b"},
            {"XDG_CONFIG_HOME": "D/conf", "XDG_CONFIG_DIRS": "D/all"},
            (),
            ["a"],
            id="the user's directory before the machine's",
        ),
        pytest.param(
            {SYSTEM: f"# all\n\n{KEYS} = a # ours\ninclude more\n", "etc/more": f"{KEYS} = b"},
            {},
            (),
            ["b"],
            id="a file that is included stands where it is named",
        ),
        pytest.param({SYSTEM: f"!include no\n{KEYS} = a"}, {}, (), ["a"], id="one that may lack"),
        pytest.param({SYSTEM: "include no"}, {}, (), None, id="one that must not"),
        pytest.param({SYSTEM: "include nix.conf"}, {}, (), None, id="one that includes itself"),
        pytest.param({SYSTEM: "experimental"}, {}, (), None, id="a line that is no setting"),
    ],
)
def test_which_counts(
    tmp_path: Path,
    files: dict[str, str],
    env: dict[str, str],
    options: tuple[str, ...],
    expected: list[str] | None,
) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match="cannot read settings of Nix"):
            words(tmp_path, files, *options, **env)
    else:
        assert words(tmp_path, files, *options, **env) == expected


@pytest.mark.parametrize(("text", "expected"), [("false", False), ("true", True), ("1", True)])
def test_a_flag(text: str, expected: bool) -> None:  # noqa: FBT001
    settings = Settings.of({"NIX_CONF_DIR": "/nowhere", "NIX_CONFIG": f"require-sigs = {text}"})
    assert settings.flag("require-sigs", default=True) is expected
