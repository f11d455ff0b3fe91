"""Which references of an image are left when wrappers have become launchers."""

from __future__ import annotations

from nix2oci.model.closure import StorePath, store_path_of
from nix2oci.plan.shell import ShellDecision


def kept_references(shells: ShellDecision) -> dict[StorePath, tuple[StorePath, ...]]:
    """Those that Nix recorded, less those to a shell that only replaced wrappers held.

    Replaced wrappers hold it where nothing but a call in a Python program keeps it.
    """
    closure = shells.closure
    files = (path.decode(errors="surrogateescape") for path in shells.launchers)
    replaced = {store_path_of(file, closure.store_dir) for file in files}
    holders = {
        staying.shell: {m.owner for m in staying.mentions}
        for staying in shells.staying
        if staying.mentions or not staying.calls
    }

    def holds(owner: StorePath, reference: StorePath) -> bool:
        return owner not in replaced or owner in holders.get(reference, {owner})

    return {
        path: tuple(other for other in closure.references(path) if holds(path, other))
        for path in closure
    }
