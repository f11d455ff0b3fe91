"""The list of places whose files name a shell and start none, and its table in docs/shell.md."""

from __future__ import annotations

import re

import pytest
from support.paths import DOCS
from support.shell_cases import APP, mention

from nix2oci.model.dead_mentions import PLACES, place_of, starts_nothing
from nix2oci.model.shell_references import ReferenceKind
from nix2oci.nix.shell_evidence import REASONS

ROWS = re.findall(
    r"^\| `([\w-]+)` \| .* \| (.*) \| (.*) \| `(auto|evident)` \|$",
    (DOCS / "shell.md").read_text(),
    re.MULTILINE,
)


def test_the_page_has_the_list() -> None:
    listed = [
        (each.rule, each.reason, f"`{each.example}`", "auto" if each.is_proof else "evident")
        for each in PLACES
    ]
    assert ROWS[: len(PLACES)] == listed
    assert {rule: why for rule, why, *_ in ROWS[len(PLACES) :]} == REASONS


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.rule)
def test_an_example_falls_under_its_entry(place: object) -> None:
    (found,) = (each for each in PLACES if each == place)
    assert place_of(mention(APP, found.example, ReferenceKind.SHEBANG)) == found


OTHERS = [
    *("bin/app", "lib/app/run.sh", "share/app/doc.sh", "etc/app/init.sh", "libexec/app-config.sh"),
    *("lib/python3.13/subprocess.py", "share/app/Makefile.py", "documents/x.sh", "etc/initd/app"),
]


@pytest.mark.parametrize("path", OTHERS)
def test_other_places_are_none_of_the_list(path: str) -> None:
    assert place_of(mention(APP, path, ReferenceKind.SHEBANG)) is None


@pytest.mark.parametrize("path", ["share/doc/x", "x.dist-info/RECORD", "a.gemspec", "README.md.tt"])
def test_what_is_read_or_lists_files_leads_nowhere(path: str) -> None:
    assert starts_nothing(path)


@pytest.mark.parametrize("path", ["bin/app", "lib/app.py", "etc/cron.daily/app"])
def test_other_files_may_lead_somewhere(path: str) -> None:
    assert not starts_nothing(path)
