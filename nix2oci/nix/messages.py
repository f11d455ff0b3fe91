"""What Nix says on standard error: shown once, kept for the error, never with a secret.

The hard part is that the texts differ by version, so nothing is decided by them: a line
that begins with `error:` is the cause, and a few well-known ones get a hint. Around an error Nix
quotes what others wrote: source, names in a trace, the log of a builder. No hint comes of these.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from msgspec import Struct, field

_KEPT = 64 * 1024
_ANSI = r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\r\x07]"
_USER_INFO = r"(?<=[\w+.\-])://([^\s/@'\"]+)@"  # a scheme in front would be tried at each letter
_HIDDEN_SETTING = r"(?i)token|secret|password"
_ERROR = r"\s*error: *(.+)"
_REASON = r"\s*Reason: (.+)"
_LOG_COMMAND = r"nix log (/\S+?\.drv)"
# How Nix ends an error, without indentation.
_ADVICE = r"\(use '--show-trace'|Try '\S*nix( \S+)? --help'"
_CONTINUES = r"\s|$|" + _ADVICE
_ELSEWHERE = r"\s*(For full logs, run|To make it visible to Nix, run)|" + _ADVICE

# The last lines of a builder's log, lines of source, where they are, and what Nix was doing.
_QUOTED = r"\s*[\w+.?=-]*>( |$)|\s*\d*\|( |$)|\s*at \S.*:\d+(:\d+)?:?$|\s*(…|\.\.\.) "
# What git, ssh and the like say goes on in lines without indentation.
_FATAL = r"fatal: |git: |ssh: "

_NO_DAEMON = r"cannot connect to (socket|daemon)|daemon-socket"
_NO_BUILDER = r"is required to build|platform mismatch|Required system:"
_ON_A_MAC = r"I am a '[\w-]+-darwin'|Current system: '[\w-]+-darwin'"
_NOT_THE_DERIVATION = f"{_NO_DAEMON}|{_NO_BUILDER}"

# The rest of a warning of several lines: what a lock file would have been changed to.
_LISTED = r"•|\s+\S"

NO_LINUX_HERE = (
    "take it built from a binary cache with --from URL, or give Nix a Linux builder: "
    "nix.linux-builder.enable of nix-darwin, nix-rosetta-builder, or --builders"
)
"""What can be done on a Mac, the way first that needs no builder."""

# A pattern of an error's own text, and what the reader can do about it; `{}` is the first group.
_HINTS = (
    (
        (
            r"-source/\S+: No such file|-source/\S+ does not exist|not tracked by Git"
            r"|does not exist in Git repository"
        ),
        "is the file there? In a git repository Nix sees only files known to git: 'git add' it",
    ),
    (
        (
            r"repository(?: path)? \(?'([^']+)' is (?:not owned by|owned by someone else)"
            r"|dubious ownership in repository at '([^']+)'"
        ),
        (
            "if you trust who owns it: git config --global --add safe.directory {}, or "
            "name it as 'path:DIR', which copies the directory without git"
        ),
    ),
    (
        r"program 'git' failed with exit code 12[89]",
        (
            "if another user owns the repository: git config --global --add safe.directory DIR, or "
            "name it as 'path:DIR', which copies the directory without git"
        ),
    ),
    (
        r"does not contain a 'flake\.nix'|could not find a flake\.nix",
        "name the directory of a flake, as in 'path:/dir#app', or use --file FILE ATTRIBUTE",
    ),
    (
        _NO_DAEMON,
        "start the Nix daemon ('systemctl start nix-daemon'), or check NIX_REMOTE and --store",
    ),
    (_ON_A_MAC, NO_LINUX_HERE),
    (
        r"path '/*(/[^']+)' is a symlink",
        "Nix takes no link on the way of 'path:DIR', such as {}: name what `realpath DIR` prints",
    ),
    (
        _NO_BUILDER,
        "name another system with --system, or give Nix a remote builder or binfmt emulation",
    ),
    (
        r"attribute 'current(?:System|Time)' missing|attribute 'builtins\.current(?:System|Time)'",
        "a flake does not see this machine: name the system in it, or evaluate with --impure",
    ),
    (
        r"in pure eval(?:uation)? mode|in pure mode|to override\)",
        "evaluation may not read that, so that it is the same everywhere: allow it with --impure",
    ),
    (
        r"flake-registry|cannot find flake 'flake:",
        "a name that is no input is looked up in the flake registry: write './NAME' for a path",
    ),
    (
        r"allow-import-from-derivation",
        "allow it with --option allow-import-from-derivation true",
    ),
    (
        r"experimental Nix feature '([\w-]+)' is disabled",
        "turn the feature on with --option extra-experimental-features {}",
    ),
    (
        r"lacks a signature by a trusted key",
        "add the key of that cache to trusted-public-keys",
    ),
    (r"has an unfree license", "allow it with NIXPKGS_ALLOW_UNFREE=1 and --impure"),
    (r"No space left on device|database or disk is full", "free some space: 'nix store gc'"),
)


class Relay(Struct):
    """Passes on what Nix says line by line, and holds back the errors at its end.

    An error belongs to the one line that the program ends with, so it is not shown when it
    comes: what is held is shown with `release`, or dropped when the failure did not matter.
    """

    show: Callable[[str], None]
    seen: set[str]
    held: list[str] = field(default_factory=list)
    _kept: deque[str] = field(default_factory=deque)
    _warnings: dict[str, None] = field(default_factory=dict)
    _size: int = 0
    _partial: bytes = b""
    _repeats: bool = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes, which may end within a line."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        """Take what came after the last newline."""
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def release(self) -> None:
        """Show what is held back."""
        for line in self.held:
            self.show(line)
        self.held.clear()

    @property
    def text(self) -> str:
        """The last 64 KiB or so of all that was said, and every warning from before."""
        return "\n".join((*self._warnings, *self._kept))

    def _line(self, raw: bytes) -> None:
        line = redact(re.sub(_ANSI, "", raw.decode("utf-8", "replace")))
        self._keep(line)
        if line.startswith("error:") or (self.held and re.match(_CONTINUES, line)):
            self.held.append(line)
            return
        self.release()
        self._repeats = (line.startswith("warning:") and line in self.seen) or (
            self._repeats and bool(re.match(_LISTED, line))
        )
        if self._repeats:
            return  # each call of nix warns again
        self.seen.add(line)
        self.show(line)

    def _keep(self, line: str) -> None:
        self._kept.append(line)
        self._size += len(line) + 1
        while self._size > _KEPT and len(self._kept) > 1:
            dropped = self._kept.popleft()
            self._size -= len(dropped) + 1
            if dropped.startswith("warning:"):
                self._warnings[dropped] = None


def redact(text: str) -> str:
    """The text without credentials in its URLs; `ssh://git@host` has a user, and no secret."""
    return re.sub(_USER_INFO, _without_credentials, text)


def _without_credentials(match: re.Match[str]) -> str:
    is_ssh = match.string.endswith(("ssh", "ssh-ng"), 0, match.start())
    return match[0] if is_ssh and ":" not in match[1] else "://"


def redact_arguments(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments without credentials: neither in URLs nor as value of a setting."""
    hidden = list(map(redact, argv))
    for index in range(2, len(hidden)):
        if hidden[index - 2] == "--option" and re.search(_HIDDEN_SETTING, hidden[index - 1]):
            hidden[index] = "REDACTED"
    return tuple(hidden)


def cause(text: str, *, first: bool = False) -> str:
    """The error of a message as one line, `""` when there is none.

    An evaluation ends with what went wrong, after its trace; of several builds the first
    that failed is the cause of the others (`first`).
    """
    lines = text.splitlines()
    found = [
        (index, match[1]) for index, line in enumerate(lines) if (match := re.match(_ERROR, line))
    ]
    if not found:
        return ""
    index, message = found[0 if first else -1]
    reason = re.match(_REASON, lines[index + 1]) if index + 1 < len(lines) else None
    message = message.strip().rstrip(".;:")
    if reason is None:
        return message
    return f"{message[:1].lower()}{message[1:]}: {reason[1].rstrip('.;:')}"


def remainder(held: list[str], said: str) -> tuple[str, ...]:
    """What is left to show of an error, when its cause and its hint are said elsewhere."""
    left: list[str] = []
    for line in held:
        match = re.match(_ERROR, line) or re.match(_REASON, line)
        is_said = match is not None and match[1].strip().rstrip(".;:").lower() in said.lower()
        command = line.strip().startswith(("nix log /", "git -C "))
        if is_said or command or re.match(_ELSEWHERE, line):
            continue
        if line.strip() not in {"", "error:"} or (left and left[-1].strip()):
            left.append(line)
    while left and not left[-1].strip():
        left.pop()
    return tuple(left)


def log_command(text: str) -> str:
    """The `nix log` command that Nix recommends for the builder that failed, or `""`."""
    match = re.search(_LOG_COMMAND, text)
    return f"nix log {match[1]}" if match else ""


def hint(text: str) -> str | None:
    """What can be done about an error of Nix, when that is known; not about a builder's."""
    own = _own_text(text)
    for pattern, advice in _HINTS:
        if match := re.search(pattern, own):
            return advice.format(next(filter(None, match.groups()), "").rstrip("/"))
    return None


def is_about_the_machine(text: str) -> bool:
    """Whether a build failed since nobody could be asked to build, whatever the derivation is."""
    return re.search(_NOT_THE_DERIVATION, _own_text(text)) is not None


def _own_text(text: str) -> str:
    """What the errors of a message say themselves, without anything that is quoted in them."""
    own: list[str] = []
    within = False
    for line in text.splitlines():
        begins = re.match(rf"\s*error:|{_FATAL}", line)
        within = bool(begins) or (within and re.match(_CONTINUES, line) is not None)
        if within and not re.match(_QUOTED, line):
            own.append(line)
    return "\n".join(own)
