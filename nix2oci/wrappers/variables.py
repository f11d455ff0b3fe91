"""Variables that bash itself sets, or that change what bash does (bash(1), Shell Variables)."""

from __future__ import annotations

_SPECIAL = frozenset(
    b"""
    _ auto_resume extraFlagsArray histchars
    CDPATH CHILD_MAX COLUMNS COPROC DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID EXECIGNORE FUNCNAME
    FUNCNEST GLOBIGNORE GLOBSORT GROUPS HOSTFILE IFS IGNOREEOF LINENO LINES MAIL MAILCHECK MAILPATH
    MAPFILE OLDPWD OPTARG OPTERR OPTIND PIPESTATUS POSIXLY_CORRECT PPID PROMPT_COMMAND PS0 PS1 PS2
    PS3 PS4 PWD RANDOM REPLY SECONDS SHELLOPTS SHLVL SRANDOM TIMEFORMAT TMOUT UID
    """.split()
)
_SPECIAL_PREFIXES = (b"BASH", b"COMP_", b"COMPREPLY", b"HIST", b"READLINE_")

PRESET = frozenset((b"HOSTNAME", b"HOSTTYPE", b"MACHTYPE", b"OSTYPE", b"SHELL", b"TERM"))
"""What bash gives a value of its own where the environment lacks it. So it does PATH, see `ops`."""

_PATH_PRESETS = (
    b"/no-such-path",
    b"/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin:.",
    b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    b"/usr/gnu/bin:/usr/local/bin:/bin:/usr/bin:.",
)


def is_special(name: bytes) -> bool:
    """Whether bash reacts to the variable, drops it from the environment or makes it again."""
    return name in _SPECIAL or name.startswith(_SPECIAL_PREFIXES)


def path_preset(binary: bytes) -> bytes | None:
    """The PATH that this bash, given as the bytes of its ELF file, has where it is given none.

    None where it holds none of the known ones, or several: then nobody can tell but by running it.
    """
    found = [text for text in _PATH_PRESETS if b"\0" + text + b"\0" in binary]
    return found[0] if len(found) == 1 else None
