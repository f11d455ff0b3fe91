"""Who gets a path of the root that several want: the hard part of sharing names fairly.

Nobody wins in silence: contents are equal, `meta.priority` decides, `files` does, or it is an
error that names both owners.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from msgspec import Struct

from nix2oci.errors import ConflictError
from nix2oci.model.closure_contents import FoundFile
from nix2oci.model.tree import Directory, Entry, Owned, Symlink
from nix2oci.text import display

OWN = "nix2oci's own"


class Claim(Struct, frozen=True):
    """An entry that somebody wants; two for one path agree when their contents do.

    `priority` is that of the package, of which the lower wins; None for what every image has.
    """

    owned: Owned
    content: bytes
    priority: int | None = None

    @property
    def path(self) -> bytes:
        return self.owned.entry.path

    def agrees(self, other: Claim) -> bool:
        return self.content == other.content or self.owned.entry == other.owned.entry


def own(entry: Entry, content: bytes | None = None) -> Claim:
    """What every image has: whoever has something else there is in error."""
    if content is None:
        content = b"directory" if isinstance(entry, Directory) else _target(entry)
    return Claim(Owned(entry, f"{OWN} /{display(entry.path)}"), content)


def _target(entry: Entry) -> bytes:
    assert isinstance(entry, Symlink), entry
    return b"link to " + entry.target


def link(path: bytes, found: FoundFile) -> Claim:
    """A link at `path` to what was found."""
    return Claim(
        Owned(Symlink(path, found.target), str(found.owner)), found.content, found.priority
    )


def settle(claims: Iterable[Claim], decided: Container[bytes]) -> Iterator[Owned]:
    """One entry for each path: the first of those with the lowest priority.

    The others of that priority must want the same content there, but where it is `decided`
    elsewhere what is there. Raises `ConflictError`.
    """
    wanted: dict[bytes, list[Claim]] = {}
    for claim in claims:
        wanted.setdefault(claim.path, []).append(claim)
    return (_winner(each, decided=path in decided).owned for path, each in wanted.items())


def _winner(claims: list[Claim], *, decided: bool) -> Claim:
    ranks = [claim.priority for claim in claims if claim.priority is not None]
    own = [claim for claim in claims if claim.priority is None]
    best = [claim for claim in claims if claim.priority == min(ranks, default=None)]
    first, *others = [*own, *best]
    for other in others if not decided else ():
        if not first.agrees(other):
            raise _clash(first, other)
    return first


def _clash(one: Claim, other: Claim) -> ConflictError:
    owners = (one.owned.owner, other.owned.owner)
    if owners[0] == owners[1]:
        owners = (_place(one), _place(other))
    error = ConflictError("/" + display(one.path), owners)
    error.hint = _remedy(one.path, owners[0])
    return error


def _place(claim: Claim) -> str:
    """What of an output is claimed, where it has two things for one path."""
    entry = claim.owned.entry
    return display(entry.target) if isinstance(entry, Symlink) else claim.owned.owner


def _remedy(path: bytes, first: str) -> str:
    if first.startswith(OWN):
        return without(path)
    return (
        "leave one of them out, give one a lower meta.priority in the flake (lib.hiPrio), "
        f"or say in 'files' what is there; {_switched_off(path)}"
    )


def without(path: bytes) -> str:
    """What helps where an output has a path that it cannot have."""
    return f"leave it out of the package; {_switched_off(path)}"


def _switched_off(path: bytes) -> str:
    if path.startswith(b"usr/bin/"):
        part = "programs"
    else:
        part = "etc" if path.startswith(b"etc/") else "places"
    return f"all such links are left out with: --view no-{part}"
