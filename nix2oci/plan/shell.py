"""Which wrappers become launchers, and which store paths an image then does without.

A replaced wrapper loses one reference, that to the shell on its first line: reading it proved that
all else is in the operations. So a shell goes when no path that stays names it any more, and with
it whatever only it kept alive. The hard part is not to be wrong: every mention counts, wherever it
is, and a reference that Nix recorded and nobody found counts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.errors import RepresentationError
from nix2oci.launcher.encoder import MAGIC, encode
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.shell_references import (
    CallSite,
    Discounted,
    Evidence,
    ReferenceKind,
    Scan,
    ShellReference,
)
from nix2oci.model.tree import Directory, File, Owned, Symlink, Tree, Whiteout, parents
from nix2oci.plan.shell_mode import Mode
from nix2oci.text import display
from nix2oci.wrappers.chain import Chain
from nix2oci.wrappers.script import Wrapper

_NEEDED = "a path that the configuration names would be lost with it"


class Launchers(Struct, frozen=True):
    """The launcher of each wrapper that can be replaced, and why others cannot, by path."""

    made: Mapping[bytes, bytes] = field(default_factory=dict)
    refused: Mapping[bytes, str] = field(default_factory=dict)


class RemainingShell(Struct, frozen=True):
    """A shell that the image keeps: what names it still, and why it is wanted anyway, if it is.

    `calls` are those of Python programs that keep it, whatever names it.
    """

    shell: StorePath
    wanted: str
    mentions: tuple[ShellReference, ...]
    calls: tuple[CallSite, ...] = ()


class ShellDecision(Struct, frozen=True):
    """What was decided. `closure` is what the image holds; `launchers` lie over its files.

    `dropped` is what of the whole closure is not in it; `broken` are mentions, in files that
    stay, of shells that were dropped all the same. `droppable` is what `drop` would leave out
    in addition. `scripts` are the chains of the scripts that stay or are replaced, by path.
    `discounted` are mentions, in files that stay, that did not count; `hidden` are files that are
    nothing without what was dropped, and links to them. `modules` is how many Python modules were
    found to be reached, and to call no shell.
    """

    mode: Mode
    closure: Closure
    launchers: Mapping[bytes, bytes] = field(default_factory=dict)
    unmade: Mapping[bytes, str] = field(default_factory=dict)
    scripts: Mapping[bytes, Chain] = field(default_factory=dict)
    programs: Mapping[bytes, Chain] = field(default_factory=dict)
    dropped: tuple[PathInfo, ...] = ()
    staying: tuple[RemainingShell, ...] = ()
    broken: tuple[ShellReference, ...] = ()
    droppable: tuple[PathInfo, ...] = ()
    calls: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)
    discounted: tuple[Discounted, ...] = ()
    hidden: tuple[bytes, ...] = ()
    modules: int = 0

    def programs_of(self, mentions: Iterable[ShellReference]) -> dict[bytes, tuple[bytes, ...]]:
        """The programs of the outputs that run one of these files as a script, or the shell itself.

        By path, with each the files of its chain.
        """
        found = tuple(mentions)
        scripts = {mention.file for mention in found if mention.kind is ReferenceKind.SHEBANG}
        shells = tuple({f"{mention.shell}/".encode() for mention in found})
        chains = {path: [s.path for s in chain.steps] for path, chain in self.programs.items()}
        return {
            path: tuple(files)
            for path, files in chains.items()
            if any(file in scripts or file.startswith(shells) for file in files)
        }

    @property
    def saved(self) -> int:
        """Bytes of NAR that were dropped."""
        return sum(info.nar_size for info in self.dropped)


def keep_all(closure: Closure) -> ShellDecision:
    """The decision of `Mode.KEEP`: nothing is looked at."""
    return ShellDecision(Mode.KEEP, closure)


def make_launchers(scan: Scan, machine: str, template: bytes) -> Launchers:
    """A launcher for every script that is proved to be a wrapper and has a target that is clear.

    What the operations do not fit into stays a script.
    """
    made: dict[bytes, bytes] = {}
    refused: dict[bytes, str] = {}
    for path, wrapper in _replaceable(scan):
        try:
            made[path] = encode(wrapper.launch, machine, template)
        except RepresentationError as err:
            refused[path] = str(err)
    return Launchers(made, refused)


def no_launchers(scan: Scan, why: str) -> Launchers:
    """For a machine that has no launcher: every wrapper stays, for that reason."""
    return Launchers(refused={path: why for path, _ in _replaceable(scan)})


def _replaceable(scan: Scan) -> Iterator[tuple[bytes, Wrapper]]:
    for path, chain in scan.scripts.items():
        first = chain.steps[0].what
        if isinstance(first, Wrapper) and chain.target is None:
            yield path, first


def decide(
    closure: Closure,
    scan: Scan,
    launchers: Launchers,
    mode: Mode,
    wanted: Mapping[StorePath, str],
    *,
    evidence: Evidence | None = None,
) -> ShellDecision:
    """What is replaced and dropped. `wanted` are paths that the user asked for, with the reason.

    A call of a shell keeps all of them in every mode but `drop`.

    Raises `RepresentationError` in mode `forbid` where a shell would stay, wanted or not; its
    hint lists every file that names one.
    """
    wanted = {**wanted, **dict.fromkeys(closure.roots, "it is an output that was named")}
    evidence = evidence if evidence and mode is not Mode.DROP else Evidence()
    counts_not = [d for d in evidence.discounted if d.is_proof or mode is Mode.EVIDENT]
    dead = frozenset(each.mention for each in counts_not)
    left = [
        m
        for m in scan.mentions
        if m not in dead and (m.kind is not ReferenceKind.SHEBANG or m.file not in launchers.made)
    ]
    names: dict[StorePath, set[StorePath]] = {}
    for mention in left:
        names.setdefault(mention.owner, set()).add(mention.shell)
    shells = frozenset(scan.shells)
    fewest = _kept(closure, wanted, shells, lambda _: frozenset())
    needed = _kept(closure, wanted, shells, lambda path: names.get(path, frozenset()))
    needed = frozenset(closure) if evidence.calls else needed
    kept = fewest if mode is Mode.DROP else needed
    kept_references = [mention for mention in left if mention.owner in kept]
    staying = _staying([s for s in scan.shells if s in kept], kept_references, wanted, evidence)
    if mode is Mode.FORBID and staying:
        raise _forbidden(staying, scan)
    scripts = {m.file for m in scan.mentions if m.kind is ReferenceKind.SHEBANG and m.owner in kept}
    gone = tuple(d for d in counts_not if d.mention.owner in kept and d.mention.shell not in kept)
    scripts -= {d.mention.file for d in gone if d.mention.kind is ReferenceKind.SHEBANG}
    return ShellDecision(
        mode,
        _only(closure, kept),
        {path: elf for path, elf in launchers.made.items() if path in scripts},
        {path: why for path, why in launchers.refused.items() if path in scripts},
        {path: chain for path, chain in scan.scripts.items() if path in scripts},
        scan.programs,
        _infos(closure, set(closure) - kept),
        staying,
        tuple(mention for mention in kept_references if mention.shell not in kept),
        _infos(closure, kept - fewest),
        scan.calls,
        gone,
        _hidden(gone, evidence, launchers),
        evidence.modules,
    )


def _staying(
    shells: Iterable[StorePath],
    mentions: Iterable[ShellReference],
    wanted: Mapping[StorePath, str],
    evidence: Evidence,
) -> tuple[RemainingShell, ...]:
    """The shells that stay, each with what keeps it."""
    found: dict[StorePath, list[ShellReference]] = {shell: [] for shell in shells}
    for mention in mentions:
        found.get(mention.shell, []).append(mention)
    calls = evidence.calls or evidence.doubts
    return tuple(
        RemainingShell(
            shell,
            wanted.get(shell, "" if names or evidence.calls else _NEEDED),
            tuple(names),
            calls,
        )
        for shell, names in found.items()
    )


def _hidden(
    gone: Iterable[Discounted], evidence: Evidence, launchers: Launchers
) -> tuple[bytes, ...]:
    """Files that are nothing without what was dropped, and the links that lead to them."""
    files = {each.mention.file for each in gone if each.is_only_purpose} - launchers.made.keys()
    links = (link for file in files for link in evidence.links.get(file, ()))
    return tuple(sorted({*files, *links}))


def _kept(
    closure: Closure,
    wanted: Iterable[StorePath],
    shells: frozenset[StorePath],
    names: Callable[[StorePath], Iterable[StorePath]],
) -> frozenset[StorePath]:
    """What is reached from the roots, where of all shells a path refers only to those it names.

    A wanted path that none of these refers to would have no place in a closure: then all stays.
    """
    kept: set[StorePath] = set()
    queue = [path for path in wanted if path in closure]
    while queue:
        path = queue.pop()
        if path not in kept:
            kept.add(path)
            queue += [other for other in closure.references(path) if other not in shells]
            queue += names(path)
    referred = {other for path in kept for other in closure.references(path)}
    whole = kept <= referred | set(closure.roots)
    return frozenset(kept if whole else closure)


def _only(closure: Closure, kept: frozenset[StorePath]) -> Closure:
    """The closure without the other paths; references to them are forgotten."""
    if len(kept) == len(closure):
        return closure
    infos = _infos(closure, kept)
    pruned = (replace(i, references=tuple(r for r in i.references if r in kept)) for i in infos)
    return Closure.of(pruned, closure.roots)


def _infos(closure: Closure, paths: Iterable[StorePath]) -> tuple[PathInfo, ...]:
    return tuple(closure.infos[path] for path in sorted(paths))


def _forbidden(staying: Iterable[RemainingShell], scan: Scan) -> RepresentationError:
    shells = " and ".join(each.shell.name for each in staying)
    mentions = [mention for each in staying for mention in each.mentions]
    files = len({mention.file for mention in mentions})
    reasons = [f"{each.shell.name}: {each.wanted}" for each in staying if each.wanted]
    reasons += [mention.explained(scan.scripts) for mention in mentions]
    reasons += dict.fromkeys(str(call) for each in staying for call in each.calls)
    named = f"{files} file names it" if files == 1 else f"{files} files name it"
    return RepresentationError(
        f"cannot make an image without a shell: {shells} stays, {named}",
        hint="what stands in the way:\n  " + "\n  ".join(reasons),
    )


def is_launcher(data: bytes) -> bool:
    """Whether a file is one that `launcher.encoder` made."""
    return data.startswith(b"\x7fELF") and MAGIC in data


def with_launchers(tree: Tree, shells: ShellDecision) -> Tree:
    """The view with the launchers over the wrappers, in directories of the store's own modes.

    What is hidden has a mark, and no link of the view leads there. Raises `ConflictError` where
    the view has something there.
    """
    hidden = frozenset(shells.hidden)
    found = [each for each in tree.owned.values() if not _leads_to(each, hidden)]
    store_dir = shells.closure.store_dir[1:].encode()
    above_store = {store_dir, *parents(store_dir)}
    laid = {**shells.launchers, **dict.fromkeys(shells.hidden)}
    for path, elf in laid.items():
        owner = f"{'the launcher for' if elf else 'what hides'} {display(path)}"
        entry = Whiteout.of(path[1:]) if elf is None else File(path[1:], len(elf), (elf,), 0o555)
        found.append(Owned(entry, owner))
        for directory in parents(path[1:]):
            mode = 0o755 if directory in above_store else 0o555
            found.append(Owned(Directory(directory, mode), owner))
    return Tree.merge(found)


def _leads_to(each: Owned, hidden: frozenset[bytes]) -> bool:
    return isinstance(each.entry, Symlink) and each.entry.target in hidden
