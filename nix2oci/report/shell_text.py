"""Wrappers, launchers and shells in words: what `build` and `plan` print of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nix2oci import text
from nix2oci.model.closure import PathInfo
from nix2oci.model.shell_references import CallSite, ReferenceKind, ShellReference
from nix2oci.plan.shell import RemainingShell, ShellDecision
from nix2oci.plan.shell_uses import known, losses, users
from nix2oci.text import display
from nix2oci.wrappers.binary import BinaryWrapper
from nix2oci.wrappers.chain import Chain
from nix2oci.wrappers.refusal import Refusal
from nix2oci.wrappers.script import Wrapper

_HASH_PART = re.compile(r"(?<![0-9a-z])([0-9a-df-np-sv-z]{7})[0-9a-df-np-sv-z]{25}-")

_SHOWN = 3
_MAX = 12
_WIDTH = 100


def done(shells: ShellDecision) -> list[str]:
    """What is another way in the image than Nix built it, in a line; none where nothing is."""
    parts = []
    if shells.launchers:
        became = "a launcher" if len(shells.launchers) == 1 else "launchers"
        parts.append(f"{text.count(len(shells.launchers), 'wrapper')} became {became}")
    if shells.dropped:
        parts.append(f"dropped {_names(shells.dropped)}: {_sum(shells.dropped)}{_grounds(shells)}")
    return ["; ".join(parts)] if parts else []


def _grounds(shells: ShellDecision) -> str:
    """On what a shell was dropped that files name: proofs alone, or evidence."""
    files = {each.mention.file for each in shells.discounted}
    if not files:
        return ""
    verb = "names it and starts" if len(files) == 1 else "name it and start"
    found = f"{text.count(len(files), 'file')} {verb} nothing"
    if all(each.is_proof for each in shells.discounted):
        return f"; {found}"
    modules = text.count(shells.modules, "Python module")
    verb = "calls" if shells.modules == 1 else "call"
    calls = f", and {modules} that the programs reach {verb} no shell" if shells.modules else ""
    return f", by evidence, not proof: {found}{calls}"


def staying(shells: ShellDecision) -> list[str]:
    """What keeps a shell, and what it would cost to drop it: it works as it is."""
    news = list(filter(_is_news, shells.staying))
    needed = [mention for remaining in news for mention in remaining.mentions]
    calls = [*dict.fromkeys(call for remaining in news for call in remaining.calls)]
    called = [str(call) for call in calls[:_SHOWN]]
    if rest := text.more(len(calls), _SHOWN):
        called.append(f"{rest} such calls: 'plan -v' lists them")
    lines = [*map(_stays, news), *called, *_obstacles(needed, shells)]
    if shells.droppable and (needed or calls):
        saved, losses_ = _sum(shells.droppable), _losses(needed, shells, calls)
        lines.append(f"'--shell drop' would save {saved} and break {losses_}")
    return lines


def warnings(shells: ShellDecision, *, with_sh: bool) -> list[str]:
    """What does not work in the image, or was not done that should have been."""
    lines = []
    if shells.unmade:
        count = text.count(len(shells.unmade), "wrapper")
        causes = "; ".join(sorted(set(shells.unmade.values())))
        lines.append(f"warning: {count} stayed as it is: {causes}")
    if shells.broken:
        losses_ = _losses(shells.broken, shells)
        lines.append(f"warning: without a shell these do not work: {losses_}")
    if shells.calls and not with_sh:
        lines.append(f"warning: {_calls(shells)}")
    return lines


def _is_news(remaining: RemainingShell) -> bool:
    return not remaining.wanted and bool(remaining.mentions or remaining.calls)


def _stays(remaining: RemainingShell) -> str:
    names = users(remaining.mentions)
    if remaining.calls:
        files = len({call.file for call in remaining.calls})
        calls = "calls a shell" if files == 1 else "call a shell"
        return f"{remaining.shell.name} stays: {text.count(files, 'Python module')} {calls}"
    return (
        f"{remaining.shell.name} stays: {_some(names)} {'needs' if len(names) == 1 else 'need'} it"
    )


def _obstacles(needed: Sequence[ShellReference], shells: ShellDecision) -> Iterator[str]:
    """Why what the user's own programs run is not replaced, a few at most."""
    files = {file for chain in shells.programs_of(needed).values() for file in chain}
    scripts = [m for m in needed if m.kind is ReferenceKind.SHEBANG and m.file in files]
    causes = [mention.explained(shells.scripts) for mention in scripts]
    yield from causes[:_SHOWN]
    if rest := text.more(len(causes), _SHOWN):
        yield f"{rest} such scripts: -v lists them"


def _losses(
    mentions: Sequence[ShellReference], shells: ShellDecision, calls: Sequence[CallSite] = ()
) -> str:
    """The user's own programs first, then what calls a shell, then what is known, then the rest."""
    if calls:
        return _some([*dict.fromkeys(call.feature or call.what for call in calls)])
    programs = shells.programs_of(mentions)
    files = {file for chain in programs.values() for file in chain}
    names = [f"the program {display(path).rpartition('/')[2]}" for path in sorted(programs)]
    return _some([*names, *losses(m for m in mentions if m.file not in files)])


def _calls(shells: ShellDecision) -> str:
    (path, names), *more = shells.calls.items()
    program = display(path).rpartition("/")[2]
    others = f" (so do {len(more)} others)" if more else ""
    return (
        f"{program} can call {' and '.join(names)}{others}, which fails:"
        " the image has no /bin/sh ('--view sh')"
    )


def _names(infos: Sequence[PathInfo]) -> str:
    """The largest first."""
    by_size = sorted(infos, key=lambda info: (-info.nar_size, info.path))
    return _some([info.path.name for info in by_size])


def _some(texts: Sequence[str]) -> str:
    if len(texts) > _SHOWN + 1:
        return text.and_more(texts, _SHOWN)
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _sum(infos: Iterable[PathInfo]) -> str:
    return text.size(sum(info.nar_size for info in infos))


def details(shells: ShellDecision, *, every: bool) -> list[str]:
    """Each wrapper and what became of it, each path dropped, each file that names a shell.

    Unless `every`, at most a few of what is long are shown, and how many are not.
    """
    most = None if every else _MAX
    parts = (
        *(_wrappers(shells), _dropped(shells), _discounted(shells, most)),
        *(_needed(shells, most), _broken(shells, most)),
    )
    return [line for part in parts for line in part]


def shortened(line: str) -> str:
    """A line with only the beginning of each hash part."""
    return _HASH_PART.sub(r"\1…-", line)


def _wrappers(shells: ShellDecision) -> Iterator[str]:
    lines = []
    for path, chain in sorted({**shells.programs, **shells.scripts}.items()):
        line = _wrapper(path, chain, shells)
        lines += [f"  {line}"] if line else []
    if lines:
        yield "wrappers:"
        yield from lines


def _wrapper(path: bytes, chain: Chain, shells: ShellDecision) -> str:
    """Empty for what is none, and for a link to one, which has a line of its own."""
    first, name = chain.steps[0].what, display(path)
    if isinstance(first, BinaryWrapper):
        return f"{name}: a wrapper binary, stays: it needs no shell"
    if isinstance(first, Refusal):
        like = first.wrapper_like and path in shells.scripts
        return f"{first.where}: stays: {first.cause}" if like else ""
    if not isinstance(first, Wrapper):
        return ""
    kind = f"{name}: {first.form.name}"
    if chain.target:
        return f"{kind}, stays: {chain.target}"
    if path not in shells.launchers:
        return f"{kind}, stays: {shells.unmade.get(path, 'nothing is replaced')}"
    became = f"{kind}, became a launcher for {display(first.launch.target)}"
    return f"{became}; but {chain.refusal}" if chain.refusal else became


def _dropped(shells: ShellDecision) -> Iterator[str]:
    if shells.dropped:
        yield f"dropped: {_sum(shells.dropped)}"
        yield from _paths(shells.dropped)


def _discounted(shells: ShellDecision, most: int | None) -> Iterator[str]:
    """What names the dropped shell and did not count, and whether that is a proof."""
    if shells.discounted:
        yield "these name what was dropped and start nothing:"
    for each in shells.discounted[:most]:
        how = "proof" if each.is_proof else "evidence"
        hidden = ", hidden" if each.mention.file in shells.hidden else ""
        yield f"  {_where(each.mention)}: {each.reason} [{each.rule}, {how}{hidden}]"
    if rest := text.more(len(shells.discounted), most):
        yield f"  {rest}: -v lists them"


def _where(mention: ShellReference) -> str:
    return f"{display(mention.file)}{f':{mention.line}' if mention.line else ''}"


def _paths(infos: Iterable[PathInfo]) -> Iterator[str]:
    return (f"  {info.path}  {text.size(info.nar_size)}" for info in infos)


def _needed(shells: ShellDecision, most: int | None) -> Iterator[str]:
    for remaining in shells.staying:
        kept_by = (
            (remaining.calls, "call") if remaining.calls else (remaining.mentions, "reference")
        )
        cause = remaining.wanted or text.count(len(kept_by[0]), kept_by[1])
        yield f"{remaining.shell} stays: {cause}"
        yield from (f"  {call}" for call in remaining.calls[:most])
        if rest := text.more(len(remaining.calls), most):
            yield f"  {rest}: -v lists them"
        yield from _mentions(remaining.mentions, shells, most)
    if shells.droppable:
        yield f"'--shell drop' would leave out: {_sum(shells.droppable)}"
        yield from _paths(shells.droppable)


def _broken(shells: ShellDecision, most: int | None) -> Iterator[str]:
    if shells.broken:
        yield "these files name what was dropped:"
        yield from _mentions(shells.broken, shells, most)


def _mentions(
    mentions: Sequence[ShellReference], shells: ShellDecision, most: int | None
) -> Iterator[str]:
    yield from (f"  {_mention(mention, shells)}" for mention in mentions[:most])
    if rest := text.more(len(mentions), most):
        yield f"  {rest}: -v lists them"


def _mention(mention: ShellReference, shells: ShellDecision) -> str:
    kind, about = known(mention), ""
    if mention.kind in (ReferenceKind.TEXT, ReferenceKind.LINK):
        about = f": {_cut(display(mention.text.strip()))}"
    loss = f" [{kind.loss}]" if kind else ""
    return f"{mention.explained(shells.scripts)}{about}{loss}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
