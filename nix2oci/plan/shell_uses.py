"""References to a shell that many images have, and what stops working without the shell.

Whoever decides for `--shell drop` asks what breaks. A file's name says it for the usual ones; the
table says no more than that, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from nix2oci.model.shell_references import ReferenceKind, ShellReference


class Known(Struct, frozen=True):
    """A kind of file by its path within its store path.

    `name` is what it is called, in the plural where it is several; `loss` ends the sentence
    "without the shell there is no …".
    """

    name: str
    loss: str
    pattern: re.Pattern[str]


def _known(name: str, loss: str, *patterns: str) -> Known:
    return Known(name, loss, re.compile("|".join(patterns)))


_PYTHON = r"lib/python3\.\d+"

KNOWN: tuple[Known, ...] = (
    _known(
        "Python's subprocess",
        "subprocess with shell=True",
        rf"{_PYTHON}/subprocess\.py",
        rf"{_PYTHON}/__pycache__/subprocess\.cpython-\d+(\.opt-[12])?\.pyc",
    ),
    _known(
        "Python's build settings",
        "building of C extensions",
        rf"{_PYTHON}/config-[^/]+/.*",
        rf"{_PYTHON}/(__pycache__/)?_sysconfigdata[^/]*",
    ),
    _known(
        "nix-support",
        "building of other packages with it",
        r"nix-support/.*",
    ),
    _known(
        "settings for building",
        "building of other software against it",
        r"(s?bin|lib/.*)/[^/]*-config([.-]?\d[\d.]*)?",
        r"(lib|share)/pkgconfig/[^/]+\.pc",
        r"lib/([^/]+/)*[^/]+\.la",
        r"(lib|libexec|share)/([^/]+/)*Makefile(\.[^/]*)?",
        r"(include|lib)/([^/]+/)*[^/]+\.(h|cmake|mk)",
    ),
    _known(
        "Perl's Config",
        "shell syntax in system, exec and backticks of Perl",
        r"lib/([^/]+/)*Config(_heavy)?\.p[lm]",
        r"lib/([^/]+/)*libperl\.so[\d.]*",
        r"bin/perl[\d.]*",
    ),
    _known(
        "egrep and fgrep",
        "egrep and fgrep (grep -E and grep -F do the same)",
        r"bin/[ef]grep",
    ),
    _known(
        "scripts around compressed files",
        "zgrep, zless, xzgrep and the like (gzip, xz and the others work)",
        r"bin/(z|xz|lz|bz|zstd)(cat|cmp|diff|[ef]?grep|exe|force|less|more|new)",
        r"bin/(gunzip|gzexe|uncompress|zipgrep)",
    ),
    _known(
        "npm",
        "npm, npx, corepack and the building of native modules",
        r"lib/node_modules/(npm|corepack)/.*",
        r"include/node/.*",
        r"bin/(npm|npx|corepack|yarn|pnpm)",
    ),
    _known(
        "git's scripts",
        "git's commands that are shell scripts, and hooks and aliases that need a shell",
        r"lib(exec)?/git-core/.*",
        r"share/git-core/.*",
    ),
    _known(
        "scripts of the C library",
        "ldd, tzselect and the like",
        r"bin/(catchsegv|ldd|sotruss|tzselect|xtrace|mtrace)",
    ),
    _known(
        "scripts for a boot",
        "starting of services by init (the image starts its program itself)",
        r"etc/(init|rc)\.d/.*",
    ),
    _known(
        "documentation and completion",
        "examples and completion in a shell",
        r"share/(doc|man|info|bash-completion|zsh|fish|examples)/.*",
        r"etc/(bash_completion\.d|profile\.d)/.*",
        r".*/(examples?|doc)/.*",
    ),
)


def known(mention: ShellReference) -> Known | None:
    """The entry of the table that a mention falls under."""
    path = mention.inside
    return next((each for each in KNOWN if each.pattern.fullmatch(path)), None)


def users(mentions: Iterable[ShellReference]) -> tuple[str, ...]:
    """Who names a shell: known kinds in the table's order, with their number, then other files."""
    by_kind, others = _sorted(mentions)
    known_ = (f"{kind.name} ({_count(found, 'file')})" for kind, found in by_kind.items())
    return (*known_, *dict.fromkeys(map(_file, others)))


def losses(mentions: Iterable[ShellReference]) -> tuple[str, ...]:
    """What does not work without the shell: what is known, then how many files are not."""
    by_kind, others = _sorted(mentions)
    scripts = [mention for mention in others if mention.kind is ReferenceKind.SHEBANG]
    rest = [m for m in others if m.file not in {script.file for script in scripts}]
    counts = ((scripts, "script"), (rest, "other file" if by_kind or scripts else "file"))
    return (
        *(kind.loss for kind in by_kind),
        *(_count(found, noun) for found, noun in counts if found),
    )


def _sorted(
    mentions: Iterable[ShellReference],
) -> tuple[dict[Known, list[ShellReference]], list[ShellReference]]:
    found: dict[Known | None, list[ShellReference]] = {kind: [] for kind in KNOWN}
    for mention in mentions:
        found.setdefault(known(mention), []).append(mention)
    return {
        kind: references for kind, references in found.items() if kind and references
    }, found.get(None, [])


def _count(mentions: Iterable[ShellReference], noun: str) -> str:
    files = len({mention.file for mention in mentions})
    return f"{files} {noun}" if files == 1 else f"{files} {noun}s"


def _file(mention: ShellReference) -> str:
    """A file by the name of its store path, which is shorter than the path, and known to people."""
    return f"{mention.owner.name}/{mention.inside}".rstrip("/")
