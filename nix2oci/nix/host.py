"""What the file system around us says: where a link leads, where caches can be, what git knows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from msgspec import Struct

from nix2oci.host.children import started
from nix2oci.model.links import At, resolve

_PATIENCE = 10.0


def store_path_behind(text: str, *, store_dir: str) -> str:
    """The text of the store path at a path, or that links at it lead to; `""` for another path.

    Links are followed one at a time and only until the store, as Nix does: the store path
    itself may be a link, or, in another store, not be there at all.
    """
    store = os.fsencode(store_dir)

    def look(path: bytes) -> bytes | At:
        if path.startswith(store + b"/"):
            return At.OUTSIDE
        if store.startswith(path + b"/") or path == store:
            return At.DIRECTORY
        if os.path.islink(path):
            return os.readlink(path)
        return At.DIRECTORY if os.path.isdir(path) else At.NOTHING

    found = resolve(os.fsencode(os.path.abspath(text)), look)
    return os.fsdecode(found.path) if found.at is At.OUTSIDE else ""


def has_cache_directory(env: Mapping[str, str]) -> bool:
    """Whether nix, with this environment, can keep its caches where it looks for them."""
    home = env.get("HOME")
    cache = env.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    own = env.get("NIX_CACHE_HOME") or (f"{cache}/nix" if cache else "")
    if not own:
        return True  # nix asks the user database for a home
    if home and own == f"{home}/.cache/nix" and not os.path.isdir(home):
        return False  # one that is made for it would be in the way of Nix, which builds without
    try:
        os.makedirs(own, exist_ok=True)
    except OSError:
        return False
    return os.access(own, os.W_OK | os.X_OK)


def with_cache_directory(env: Mapping[str, str], owner: object) -> Mapping[str, str]:
    """An environment in which nix can write its caches; what is made for it goes with `owner`."""
    if has_cache_directory(env):
        return env
    import weakref  # noqa: PLC0415  # seldom needed, and start-up counts
    from contextlib import ExitStack  # noqa: PLC0415

    from nix2oci.host.scratch import temporary_directory  # noqa: PLC0415

    held = ExitStack()
    cache = held.enter_context(temporary_directory())
    weakref.finalize(owner, held.close)
    kept = {key: value for key, value in env.items() if key != "NIX_CACHE_HOME"}
    return {**kept, "XDG_CACHE_HOME": cache}


def dirty_revision(directory: str, env: Mapping[str, str]) -> str:
    """The revision that a git tree with changes is based on, with `-dirty`; `""` when unknown.

    Nix says it itself since 2.17.
    """
    argv = ["git", "-C", directory, "rev-parse", "--verify", "HEAD"]
    quiet = subprocess.DEVNULL
    try:
        with started(*(argv, 0), stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, env=env) as git:
            revision, _ = git.communicate(timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no git
    return f"{revision.decode().strip()}-dirty" if git.returncode == 0 else ""  # no commit yet


class Head(Struct, frozen=True):
    """What git says of a work tree: its commit, `""` before the first one, and what differs.

    `committed` is seconds since 1970.
    """

    commit: str
    committed: int
    is_clean: bool


_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--no-renames")
_LOG = ("log", "-1", "--no-show-signature", "--format=%H %ct", "HEAD")
_FILES = ("ls-files", "-v", "-z")
_ATTRIBUTES = ("check-attr", "-z", "--stdin", "filter", "working-tree-encoding")
_NO_FILTER = (b"unspecified", b"unset")
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")


def head_of(tree: str, env: Mapping[str, str]) -> Head | None:
    """The state of a work tree; None where git cannot tell, or only Nix could.

    That is a submodule that differs: whether it counts depends on the flake. And it is a file at
    which git does not look (assume-unchanged, skip-worktree), or looks through a filter of its own
    (git-crypt, LFS): Nix, which reads repositories by libgit2 from 2.20 on, sees the bytes.
    """
    if any(name in env for name in _ELSEWHERE):
        return None
    status = (*_STATUS, "--no-ahead-behind", "--ignore-submodules=none")
    try:
        with ExitStack() as stack:
            log, said, files = (_git(stack, tree, words, env) for words in (_LOG, status, _FILES))
            commit, changes, names = (_answer(each) for each in (log, said, files))
            tagged = names.split(b"\0")[:-1]
            attributes = _git(stack, tree, _ATTRIBUTES, env)
            found = _answer(attributes, b"".join(name[2:] + b"\0" for name in tagged))
        if said.returncode or files.returncode or attributes.returncode:
            return None
    except (OSError, subprocess.TimeoutExpired):
        return None
    is_hidden = any(name[:1] == b"S" or name[:1].islower() for name in tagged)
    if is_hidden or any(value not in _NO_FILTER for value in found.split(b"\0")[2::3]):
        return None
    return _head(commit.decode(), changes.decode("utf-8", "replace"))


def _git(
    stack: ExitStack, tree: str, words: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """A git that runs until the stack is left; nobody reads what it complains of."""
    git = ["git", "-C", tree, "--no-optional-locks", *words]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return stack.enter_context(
        started(git, 0, stdin=pipe, stdout=pipe, stderr=nothing, env=env),
    )


def _answer(git: subprocess.Popen[bytes], question: bytes = b"") -> bytes:
    return git.communicate(question, timeout=_PATIENCE)[0]


def _head(log: str, status: str) -> Head | None:
    lines = status.splitlines()
    oid = next((each.split()[2] for each in lines if each.startswith("# branch.oid ")), "")
    changes = [each for each in lines if not each.startswith("#")]
    if not oid or any(each[5:6] == "S" for each in changes):
        return None
    if oid == "(initial)":
        return Head("", 0, is_clean=False)
    commit, _, committed = log.strip().partition(" ")
    if commit != oid or not committed.isdecimal():  # it has changed meanwhile
        return None
    return Head(commit, int(committed), is_clean=not changes)


def program(name: str, env: Mapping[str, str]) -> str:
    """The file that is started by a name, with links followed; `""` where there is none."""
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.realpath(path)
    return ""


def work_tree(path: str) -> str:
    """The git work tree that a path is in, which need not be there yet; `""` for none."""
    directory = os.path.realpath(path)
    while not os.path.lexists(os.path.join(directory, ".git")):
        above = os.path.dirname(directory)
        if above == directory:
            return ""
        directory = above
    return directory


def is_ignored(path: str, env: Mapping[str, str]) -> bool | None:
    """Whether git ignores a file in a work tree; None when it cannot tell."""
    directory, name = os.path.split(os.path.realpath(path))
    argv = ["git", "-C", directory, "check-ignore", "--quiet", "--", name]
    quiet = subprocess.DEVNULL
    try:
        with started(*(argv, 0), stdin=quiet, stdout=quiet, stderr=quiet, env=env) as git:
            status = git.wait(_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {0: True, 1: False}.get(status)
