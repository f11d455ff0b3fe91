"""Options that are passed on to Nix, under the names that Nix has for them."""

from __future__ import annotations

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, switch, value

_VALUES = {
    "store": ("URL", "The store to use: a URL, or a directory that holds nix/store."),
    "eval-store": ("URL", "The store that holds derivations."),
    "system": ("SYSTEM", "Build for this system, such as aarch64-linux."),
    "inputs-from": ("FLAKE-REF", "Take names such as nixpkgs from the inputs of this flake."),
    "max-jobs": ("N", "How many derivations Nix builds at once."),
    "builders": ("SPEC", "Remote machines that Nix builds on."),
}
_PAIRS = {
    "override-input": ("INPUT FLAKE-REF", "Use another flake for an input."),
    "option": ("NAME VALUE", "A Nix setting."),
    "arg": ("NAME EXPR", "With --file: an argument, as a Nix expression."),
    "argstr": ("NAME TEXT", "With --file: an argument, as text."),
}
_SWITCHES = {
    "impure": "Let evaluation see the environment and mutable paths.",
    "offline": "Do not use the network.",
    "refresh": "Look again at flakes and tarballs that were fetched before.",
    "no-write-lock-file": "Do not write the flake's lock file.",
    "no-update-lock-file": "Fail when the flake's lock file is not up to date.",
    "accept-flake-config": "Accept the Nix settings of the flake.",
    "keep-going": "Build the others when one derivation, or with --all one image, fails.",
}

Given = str | bool | tuple[tuple[str, str], ...] | None
"""What a flag was given: a value, whether it is there, or pairs of values."""


class NixOptions(Struct, frozen=True):
    """What the user wants of Nix."""

    file: str | None
    """Installables are attributes of this Nix file."""
    system: str | None
    passed_on: tuple[str, ...]
    """The other options, as Nix's own arguments."""

    @classmethod
    def of(cls, *, file: str | None, system: str | None, **given: Given) -> NixOptions:
        """From what the flags were given, by click's name for each."""
        passed_on = (
            argument
            for name in (*_VALUES, *_PAIRS, *_SWITCHES)
            if name != "system"
            for argument in _arguments(f"--{name}", given[name.replace("-", "_")])
        )
        return cls(file, system, tuple(passed_on))

    @property
    def arguments(self) -> tuple[str, ...]:
        """All options as Nix's own arguments; without `file`, which not every call takes."""
        system = ("--system", self.system) if self.system is not None else ()
        return (*system, *self.passed_on)


def _arguments(flag: str, given: Given) -> tuple[str, ...]:
    if isinstance(given, tuple):
        return tuple(word for pair in given for word in (flag, *pair))
    if isinstance(given, str):
        return (flag, given)
    return (flag,) if given else ()


NIX = Group(
    "nix",
    NixOptions.of,
    (
        value("-f", "FILE", "Installables are attributes of this Nix file.", "--file"),
        *(value(f"--{name}", metavar, text) for name, (metavar, text) in _VALUES.items()),
        *(
            click.Option([f"--{name}"], nargs=2, multiple=True, metavar=metavar, help=text)
            for name, (metavar, text) in _PAIRS.items()
        ),
        *(switch(f"--{name}", text) for name, text in _SWITCHES.items()),
    ),
    "Nix",
)

_ABOUT_FILES = {"file", "arg", "argstr"}
NIX_WITHOUT_FILE = Group(
    "nix",
    lambda **given: NixOptions.of(**dict.fromkeys(_ABOUT_FILES), **given),
    tuple(flag for flag in NIX.flags if flag.name not in _ABOUT_FILES),
    NIX.title,
)
"""The same where installables are of flakes and of the store, so that `-f` names other files."""
