"""What Nix is asked about flakes, and how: its version, the system, and where a source lies.

A flake that is named by its path is looked up here, and one that is locked by its name tells where
its source lies when it is evaluated. For any other `flake metadata` is one process more, and the
first: what the name means is found out once, and then the flake is called by that commit.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from nix2oci.errors import NixCommandError, NixError, NixOutputError
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.host import Head, dirty_revision
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import Source, Tree, Version, flake_source
from nix2oci.nix.named_flake import FlakePlace, head_at, local_source, named_place
from nix2oci.nix.options import Origin, evaluation_options, store_root, values_of
from nix2oci.nix.process import NixRunner

if TYPE_CHECKING:
    from nix2oci.nix.flake_reference import Attributes

_UNCACHED = ("--option", "eval-cache", "false")


class FlakeReader(NixRunner):
    """The Nix of this machine, with the options that the user passes through.

    `env`, `show` and `terminal` are those of `NixRunner`. `origin` is where store paths
    come from. `say` is told what was decided here. Methods raise what `run` raises,
    `NixCommandError`, `NixOutputError` and `StoreError`.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        options: Sequence[str] = (),
        *,
        show: Callable[[str], None] = lambda _: None,
        terminal: int | None = None,
        origin: Origin | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(env, show, terminal)
        self.options = tuple(options)
        self.origin = origin
        self._say = say
        self._know_nothing()

    def _know_nothing(self) -> None:
        """Know nothing yet: what is found out here a copy for another system knows as well."""
        self._sources: dict[str, Source] = {}
        self._metadata: dict[str, str] = {}
        self._local: dict[str, tuple[FlakePlace | None, Head | None]] = {}
        self._trees: dict[str, Tree] = {}
        self._versions: list[Version] = []  # as Nix said; one and the same for each system
        self._is_told = False  # of a system that need not be this machine's

    # -- what there is

    @property
    def version(self) -> Version:
        """Which Nix this is, as it said with an evaluation, or is asked."""
        if not self._versions:
            done = self.run(("--version",), plain=True)
            if done.returncode:
                raise failure(done, "cannot run nix")
            self._versions.append(Version.parse(done.stdout))
        if not self._versions[-1].has_flakes:
            raise NixError(f"cannot use {self._versions[-1]}: 2.4 is the first with flakes")
        return self._versions[-1]

    def refuse_old(self) -> None:
        """Raise `NixError` where a Nix failed since it is too old: what it says is no help."""
        with suppress(NixCommandError, NixOutputError):  # it failed for another reason
            _ = self.version

    @functools.cached_property
    def _own_system(self) -> str:
        from nix2oci.nix.system import own_system  # noqa: PLC0415  # start-up counts

        return own_system(self.run, self.options, self.env)

    @functools.cached_property
    def _system(self) -> str:
        linux = f"{self._own_system.partition('-')[0]}-linux"
        if self._own_system == linux or values_of(self.options, "--system"):
            return self._own_system
        self._say(f"building for {linux}, as images hold Linux programs")
        return linux

    def system(self) -> str:
        """The system to build for: that of `--system`, or this machine's, on a Mac as Linux."""
        return self._system

    @property
    def _evaluating(self) -> tuple[str, ...]:
        """What has evaluation take the machine for one of the system to build for."""
        if self._is_told or self._system != self._own_system:
            return ("--system", self._system)
        return ()

    def for_system(self, system: str) -> Self:
        """The same Nix, that evaluates for another system, whichever a derivation is built on.

        Unlike `--system`, this does not make Nix take the machine for one of that system.
        """
        other = copy.copy(self)
        other._system, other._is_told = system, True  # noqa: SLF001
        return other

    def only_named(self, texts: Sequence[str], beside: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Store paths that texts name and that are in the image for it: of a given closure."""
        return ()

    def physical(self) -> str:
        """The directory that a store path lies below: `""`, or DIR of `--store DIR`.

        Raises `StoreError` when the store is not in a file system of this machine.
        """
        return store_root(self.options, self.env)

    # -- flakes

    def _at(self, flake: Installable) -> tuple[FlakePlace | None, Head | None]:
        """Where a flake lies that is named by its path, and what git says of that; once for each.

        That is before it is evaluated.
        """
        ref = flake.flake_ref
        if ref not in self._local:
            place = named_place(ref)
            self._local[ref] = place, head_at(place, self.env)
        return self._local[ref]

    def _locked(self, flake: Installable) -> Attributes:
        """The attributes of a flake that is locked by its name; empty for any other."""
        if self._at(flake)[0]:
            return {}
        from nix2oci.nix.flake_reference import locked_attributes  # noqa: PLC0415  # start-up counts

        return locked_attributes(flake.flake_ref)

    def _meant(self, flake: Installable) -> str:
        """The reference of what a flake is now: a name means one commit in a whole run."""
        if self._at(flake)[0] or self._locked(flake):
            return flake.flake_ref
        from nix2oci.nix.fetched_flake import pinned_reference  # noqa: PLC0415  # start-up counts

        return pinned_reference(self.fetched_place(flake)) or flake.flake_ref

    def _take_tree(self, flake: Installable, tree: Tree) -> None:
        """Know where a source lies, unless the flake may have one with more in it."""
        from nix2oci.nix.fetched_flake import is_plain, tree_place  # noqa: PLC0415

        if is_plain(tree_place(tree, self._locked(flake), self.physical())):
            self._trees[flake.flake_ref] = tree

    def _is_found(self, flake: Installable) -> bool:
        """Whether Nix has said where its source lies."""
        return flake.flake_ref in self._trees or flake.flake_ref in self._metadata

    def fetched_place(self, flake: Installable) -> FlakePlace:
        """The place of a flake that is not named by its path; asks Nix where that is not known."""
        from nix2oci.nix.fetched_flake import metadata_place, tree_place  # noqa: PLC0415

        if tree := self._trees.get(flake.flake_ref):
            return tree_place(tree, self._locked(flake), self.physical())
        return metadata_place(self.metadata(flake), self.physical())

    def source(self, installable: Installable) -> Source:
        """What is known of a flake; looked up once for each."""
        ref = installable.flake_ref
        if ref not in self._sources:
            self._sources[ref] = local_source(*self._at(installable)) or self._source(installable)
        return self._sources[ref]

    def _source(self, installable: Installable) -> Source:
        if tree := self._trees.get(installable.flake_ref):
            return tree.source(self._locked(installable))
        source = flake_source(self.metadata(installable))
        if source.directory:
            source = replace(source, revision=dirty_revision(source.directory, self.env))
        return source

    def metadata(self, installable: Installable) -> str:
        """What `nix flake metadata --json` prints of a flake; asked once for each."""
        ref = installable.flake_ref
        if ref not in self._metadata:
            options = self._evaluation_options(installable)
            done = self.run(("flake", "metadata", "--json", *options, "--", ref))
            if done.returncode:
                raise failure(done, f"cannot evaluate '{installable.text}'")
            self._metadata[ref] = done.stdout
        return self._metadata[ref]

    def _evaluation_options(self, installable: Installable) -> tuple[str, ...]:
        inputs, names = not installable.is_input, installable.kind != "file"
        return evaluation_options(self.options, inputs=inputs, names=names)

    # -- questions

    def ask(
        self,
        installable: Installable,
        operand: str,
        question: str,
        told: tuple[str, ...] | None = None,
    ) -> Finished:
        """`nix eval` of an attribute of the same flake or file; `question` is a function.

        `told` is what evaluation is told of the machine, when that is not what it is built for.
        """
        if installable.kind == "flake":
            operand = self._meant(installable) + operand.removeprefix(installable.flake_ref)
        file = ("--file", installable.file) if installable.kind == "file" else ()
        told = self._evaluating if told is None else told
        options = self._evaluation_options(installable) + told + _UNCACHED + file
        return self.run(("eval", "--json", *options, "--apply", question, "--", operand))
