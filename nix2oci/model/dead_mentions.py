"""Places whose files name a shell and start none in an image: a closed list.

Each entry is a place by its meaning on a system, not by who made it; docs/shell.md has the same
table. What is a proof holds whatever runs in the image; the others count as evidence alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from nix2oci.model.shell_references import ShellReference


class Place(Struct, frozen=True):
    """An entry of the list: a pattern for paths within a store path, and why they start nothing."""

    rule: str
    reason: str
    example: str
    pattern: re.Pattern[str]
    is_proof: bool = True
    without_init: bool = False
    """Whether it is so only where the closure has no init, the program that starts these."""


def _place(
    rule: str, reason: str, example: str, *patterns: str, proof: bool = True, init: bool = False
) -> Place:
    return Place(rule, reason, example, re.compile("|".join(patterns)), proof, init)


_PYTHON = r"lib/python3\.?\d*"

PLACES: tuple[Place, ...] = (
    _place(
        "documentation",
        "people read it, and copy from it",
        "share/doc/app/examples/run.sh",
        r"(share/)?(doc|docs|man|info)/.*",
        r"share/(gtk-doc|help|devhelp|licenses)/.*",
    ),
    _place(
        "completion",
        "only a shell that somebody types into reads it, and an image without one has none",
        "share/bash-completion/completions/app",
        r"share/(bash-completion|zsh|fish|nushell|elvish)/.*",
        r"etc/(bash_completion\.d|profile\.d|fish|zsh)/.*",
        r"etc/(bash\.bashrc|bashrc|profile|zshrc|zprofile)",
        r"share/[^/]+/completions?/.*",
    ),
    _place(
        "init",
        "init starts it when a machine starts, and the closure has no init",
        "etc/init.d/app",
        r"etc/(init|rc|rc\d|rcS)\.d/.*",
        r"etc/init/.*",
        r"(etc|lib|share)/systemd/(system|user|system-generators|system-shutdown)/.*",
        init=True,
    ),
    _place(
        "cron",
        "cron runs it, and an image seldom has one",
        "etc/cron.daily/app",
        r"etc/cron\.(d|hourly|daily|weekly|monthly)/.*",
        proof=False,
    ),
    _place(
        "package-manager",
        "a package manager runs it when packages come and go, and an image has none",
        "share/python3/runtime.d/public_modules.rtinstall",
        r"share/[^/]+/runtime\.d/[^/]+\.rt(install|remove|update)",
        r"(.*/)?[^/]+\.(preinst|postinst|prerm|postrm)",
        r"(.*/)?(preinst|postinst|prerm|postrm)",
    ),
    _place(
        "nix-support",
        "stdenv reads it when another package is built",
        "nix-support/setup-hook",
        r"nix-support/.*",
    ),
    _place(
        "build-settings",
        "compilers and make read it when other software is built",
        "lib/pkgconfig/app.pc",
        r"(lib|share)/(.*/)?pkgconfig/[^/]+\.pc",
        r"(lib|share)/(.*/)?(cmake|aclocal)/.*",
        r"lib/([^/]+/)*[^/]+\.la",
        r"(lib|libexec|share)/([^/]+/)*(Makefile(\.(?!py|sh|pl|rb)[^/]*)?|[^/]+\.mk|makesetup|install-sh)",
        r"include/.*\.(h|hh|hpp|inc)",
    ),
    _place(
        "python-build-settings",
        "a table of the settings that Python was built with, for the building of extensions",
        "lib/python3.13/_sysconfigdata__linux_x86_64-linux-gnu.py",
        rf"{_PYTHON}/(__pycache__/)?_sysconfigdata[^/]*\.pyc?",
        rf"{_PYTHON}/config-[^/]+/.*",
    ),
    _place(
        "config-script",
        "it prints flags for compilers, and what runs a compiler names it",
        "bin/app-config",
        r"(s?bin|lib/.*)/[^/]+-config([.-]?\d[\d.]*)?",
        proof=False,
    ),
)
"""In the order in which they are asked."""

_READ_BY_PEOPLE = ("documentation", "completion")
LISTS = re.compile(
    r".*\.(dist-info|egg-info)/[^/]*|.*\.gemspec|.*/\.packlist|.*\.md5sums|.*/MANIFEST|"
    r"(.*/)?(README|CHANGES|CHANGELOG|HISTORY|NEWS|COPYING|LICENSE)[^/]*"
)
"""Lists of the files of a package, and texts that come with it: they name a file and start none."""


COMPLETES = re.compile(rb".*/_?(\w+_)?completions?(_\w+)?(\.py|/.*)")
"""Modules that write completions: they run where a shell that somebody types into asks them."""


def place_of(mention: ShellReference, *, has_init: bool = False) -> Place | None:
    """The entry that a mention falls under."""
    return next(
        (
            each
            for each in PLACES
            if each.pattern.fullmatch(mention.inside) and not (has_init and each.without_init)
        ),
        None,
    )


def starts_nothing(inside: str) -> bool:
    """Whether what a file says leads to nothing that is started: documentation, lists of files."""
    return bool(LISTS.fullmatch(inside)) or any(
        place.pattern.fullmatch(inside) for place in PLACES if place.is_proof
    )


def rules(places: Iterable[Place] = PLACES) -> tuple[str, ...]:
    """The names of all entries."""
    return tuple(place.rule for place in places)
