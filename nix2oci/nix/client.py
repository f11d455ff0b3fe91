"""What is asked of nix, and how.

The hard part is everything around the answer: options that are an error in one version and demanded
by the next, messages that reach the user exactly once, a root that protects what is being read.

For one flake installable nix is started three times: `eval` (`nix.question`), `build` and
`path-info` (both once for all installables); `flake metadata` is one more for each flake that
lies elsewhere and is no commit by its name. A store path is not evaluated. Derivations are
built, so nothing is evaluated again for that; the cache of evaluations is left out: it knows
nothing of `--apply`. What is kept for the next run is in `nix.kept_answers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nix2oci.errors import Nix2OCIError, StoreError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.nix.evaluator import Evaluator
from nix2oci.nix.failure import build_failure, failure
from nix2oci.nix.json_output import built_outputs, path_infos
from nix2oci.nix.kept_answers import Realised, keep_realised, kept_realised, realised, realised_name
from nix2oci.nix.messages import redact
from nix2oci.nix.options import setting, store_options
from nix2oci.nix.package import Package
from nix2oci.nix.realise import (
    Built,
    Outputs,
    absent,
    any_lost,
    assign,
    has_outputs,
    operands,
    outputs_of,
)

if TYPE_CHECKING:
    from nix2oci.nix.store import Sender

_FORMAT = ("--json-format", "1")
_ATTEMPTS = 3


class NixClient(Evaluator):
    """The same, which builds and tells closures as well."""

    building = "building with Nix"
    """What is said while `build` works."""
    sender: Sender | None = None  # who gets what `origin` has, where that is not Nix

    def _know_nothing(self) -> None:
        super()._know_nothing()
        self.requires_signatures = False  # of every path of a closure: `nix.signatures`
        self.said_of_paths: list[str] = []  # what `path_info` gave, for `nix.evidence`
        self._unsaid: list[Sequence[StorePath]] = []  # of which it was kept
        self._at_work: dict[tuple[str, ...], tuple[ExitStack, str, tuple[str, ...]]] = {}
        self._closures: dict[frozenset[StorePath], str] = {}
        self._made: dict[frozenset[StorePath], tuple[str, Outputs]] = {}

    # -- build

    @contextmanager
    def build(self, packages: Sequence[Package]) -> Iterator[tuple[Built, ...]]:
        """Build packages with one `nix build`, and hold what was built until the context ends.

        Yields one `Built` for each package. Raises `BuildError` when a builder fails.
        """
        from nix2oci.host.scratch import temporary_directory  # noqa: PLC0415  # start-up counts

        root = self.physical()
        with ExitStack() as stack:
            wanted = operands(packages, exact=True)
            early, link, asked = self._at_work.pop(wanted, (None, "", ()))
            if early:
                stack.enter_context(early.pop_all())
            else:
                link = os.path.join(stack.enter_context(temporary_directory()), "root")
            built = self._built_before(packages, link, asked) or self._build(packages, link)
            if path := absent(built, root):
                raise StoreError(
                    f"cannot read {path}: Nix has it, but there is no {root}{path}",
                    hint="if the configuration of Nix has another store, name it with --store",
                )
            yield built

    def _built_before(
        self, packages: Sequence[Package], link: str, asked: tuple[str, ...]
    ) -> tuple[Built, ...] | None:
        """What an earlier run built, if Nix says that it is still valid, held by `link`.

        `asked` is the command that is at work on that, if there is one.
        """
        found = self._kept(packages)
        if found is None:
            return None
        done = self.run(asked or self._validity(found, link), quiet=True)
        if done.returncode or not found.is_there(self.physical()):  # as it is now: held
            return None
        try:
            built = tuple(assign(package, found.known()) for package in packages)
        except Nix2OCIError:  # no build has said that
            return None
        self._closures[_roots(built)] = found.closure
        return built

    def _kept(self, packages: Sequence[Package]) -> Realised | None:
        """What an earlier run built, where that is there as it was."""
        root, name = self.physical(), self._name(packages)
        found = kept_realised(self.kept, name) if self.kept and name else None
        return found if found and found.is_there(root) else None

    def begin_build(self, packages: Sequence[Package]) -> None:
        """Have Nix begin with what `build` will ask, which then need not wait so long.

        That is whether what an earlier run built is valid, or else to build: not where Nix is to
        draw on a terminal, which is for who runs it, nor while it is at work on something else.
        Raises `StoreError` as `build`.
        """
        import weakref  # noqa: PLC0415  # start-up counts

        from nix2oci.host.scratch import temporary_directory  # noqa: PLC0415

        if self.origin is not None:
            return
        found = self._kept(packages)
        if found is None and (self._terminal is not None or self._begun):
            return
        stack = ExitStack()
        weakref.finalize(self, stack.close)
        link = os.path.join(stack.enter_context(temporary_directory()), "root")
        asked = self._validity(found, link) if found else self._building(packages, link)
        self._at_work[operands(packages, exact=True)] = stack, link, asked
        self.begin(asked)

    def _building(self, packages: Sequence[Package], link: str) -> tuple[str, ...]:
        """The command that builds, and has `link` hold what it built."""
        exact = has_outputs(packages) and self.version.selects_outputs
        options = (*store_options(self.options, evaluating=True), "--out-link", link)
        return ("build", "--json", *options, "--", *operands(packages, exact=exact))

    def _validity(self, found: Realised, link: str) -> tuple[str, ...]:
        """The command that asks whether paths are valid, and has `link` hold those that are.

        So are sources of flakes where Nix was not asked for them.
        """
        options = (*store_options(self.options), "--out-link", link)
        paths = dict.fromkeys((*found.roots, *self.kept_sources))
        return ("build", "--json", *options, "--", *paths)

    def _name(self, packages: Sequence[Package]) -> str:
        """The name that what becomes of packages is kept by; `""` where it is not to be kept."""
        if self.kept is None or self.origin is not None:
            return ""
        wanted = [each for one in packages for each in one.wanted + one.program_wanted]
        pairs = [(each.path, each.outputs) for each in wanted]
        return realised_name(pairs, self.physical(), self.options, self.env)

    def _build(self, packages: Sequence[Package], link: str) -> tuple[Built, ...]:
        for _ in range(_ATTEMPTS):
            done = self.run(self._building(packages, link), terminal=True)
            if done.returncode == 0:
                outputs = outputs_of(built_outputs(done.stdout))
                built = tuple(assign(package, outputs) for package in packages)
                self._made[_roots(built)] = self._name(packages), outputs
                return built
            elsewhere = done.returncode < 0 or setting(self.options, "eval-store")
            if elsewhere or not any_lost(packages, self.physical()):
                action = f"cannot build {_names(packages)}"
                foreign = {package.system for package in packages} - {"", self.system()}
                own = self._own_system if done.on_terminal else ""
                raise build_failure(done, action, sorted(foreign), own)
            # Collected between evaluation and build: nothing holds a derivation meanwhile.
            packages = [self.evaluate(package.installable) for package in packages]
        raise StoreError(
            f"cannot build {_names(packages)}: its derivations are garbage-collected each time",
            hint="wait for 'nix store gc' to end",
        )

    # -- closure

    def closure(self, roots: Sequence[StorePath]) -> Closure:
        """The closure of store paths, checked to be closed (`ClosureError`)."""
        known = frozenset(roots)
        if text := self._closures.get(known, ""):
            self._unsaid.append(roots)
            return Closure.of(path_infos(text), roots)
        text = self.path_info(roots)
        closure = Closure.of(path_infos(text), roots)
        name, outputs = self._made.get(known, ("", {}))
        if self.kept and name:
            keep_realised(self.kept, name, realised(outputs, text, roots, self.physical()))
        return closure

    def all_said_of_paths(self) -> list[str]:
        """All that `path_info` gave in this run; of what was kept Nix is asked now.

        Raises as `path_info`.
        """
        while self._unsaid:
            self.path_info(self._unsaid.pop())
        return self.said_of_paths

    def path_info(self, roots: Sequence[StorePath], store: str = "") -> str:
        """What `nix path-info --json --recursive` prints, of another store where one is given."""
        argv = ("path-info", "--json", "--recursive", *store_options(self.options, store=store))
        paths = ("--", *map(str, roots))
        known = self._versions[-1:]
        formatted = bool(known) and known[-1].wants_json_format
        said = "" if known else _FORMAT[0]  # of which a Nix warns that was not asked which it is
        done = self.run((*argv, *(_FORMAT if formatted else ()), *paths), hides=said)
        if done.returncode and _FORMAT[0] in done.said:
            done = self.run((*argv, *(() if formatted else _FORMAT), *paths))
        if done.returncode:
            where = f" in {redact(store)}" if store else ""
            raise failure(done, f"cannot read the closure of {' '.join(map(str, roots))}{where}")
        self.said_of_paths.append(done.stdout)
        return done.stdout


def _roots(built: Sequence[Built]) -> frozenset[StorePath]:
    return frozenset(root for one in built for root in one.roots)


def _names(packages: Sequence[Package]) -> str:
    return " ".join(f"'{package.installable.text}'" for package in packages)
