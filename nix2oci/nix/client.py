"""What is asked of nix, and how.

The hard part is everything around the answer: options that are an error in one version and demanded
by the next, messages that reach the user exactly once, a root that protects what is being read.

For one flake installable nix is started seven times: `--version`, `eval` for the system (not
with `--system`), `flake metadata` (once for each flake), `eval` of the package, `eval` of the
app, `build` and `path-info` (once for all installables). Derivations are built, so nothing is
evaluated again for that; the cache of evaluations is left out: it knows nothing of `--apply`.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nix2oci.errors import NixError, StoreError
from nix2oci.model.closure import STORE_DIR, Closure, StorePath
from nix2oci.nix.failure import Finished, build_failure, failure
from nix2oci.nix.host import dirty_revision, store_path_behind
from nix2oci.nix.installable import Installable, no_such_attribute
from nix2oci.nix.json_output import (
    Source,
    Version,
    built_outputs,
    flake_source,
    path_infos,
    read_json,
)
from nix2oci.nix.messages import cause, redact
from nix2oci.nix.options import (
    Origin,
    evaluation_options,
    setting,
    store_options,
    store_root,
    values_of,
)
from nix2oci.nix.package import (
    EVAL_EXPRESSION,
    NAMES,
    EvalResult,
    Package,
    package_of,
    package_of_path,
)
from nix2oci.nix.process import NixRunner
from nix2oci.nix.realise import Built, absent, any_lost, assign, operands, outputs_of

if TYPE_CHECKING:
    from nix2oci.nix.store import Sender

_UNCACHED = ("--option", "eval-cache", "false")
_ATTEMPTS = 3


class NixClient(NixRunner):
    """The Nix of this machine, with the options that the user passes through.

    `env`, `show` and `terminal` are those of `NixRunner`. `origin` is where store paths
    come from. `say` is told what was decided here. Methods raise what `run` raises,
    `NixCommandError`, `NixOutputError` and `StoreError`.
    """

    building = "building with Nix"
    """What is said while `build` works."""
    sender: Sender | None = None  # who gets what `origin` has, where that is not Nix

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
        self._sources: dict[str, Source] = {}
        self._metadata: dict[str, str] = {}
        self.said_of_paths: list[str] = []  # what `path_info` gave, for `nix.evidence`
        self.requires_signatures = False  # of every path of a closure: `nix.signatures`
        self._is_told = False  # of a system that need not be this machine's

    # -- what there is

    @functools.cached_property
    def version(self) -> Version:
        """Which Nix this is; `NixError` when it is too old."""
        done = self.run(("--version",), plain=True)
        if done.returncode:
            raise failure(done, "cannot run nix")
        version = Version.parse(done.stdout)
        if not version.has_flakes:
            raise NixError(f"cannot use {version}: 2.4 is the first with flakes")
        return version

    @functools.cached_property
    def _own_system(self) -> str:
        from nix2oci.nix.system import own_system  # noqa: PLC0415  # start-up counts

        return own_system(self.run, self.options)

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

    def for_system(self, system: str) -> NixClient:
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

    # -- evaluate

    def installable(self, text: str, *, file: str | None = None) -> Installable:
        """Take apart what the user typed; a link such as `./result` is followed."""
        store_dir = self.env.get("NIX_STORE_DIR") or STORE_DIR
        return Installable.parse(
            text, file=file, leads_to=functools.partial(store_path_behind, store_dir=store_dir)
        )

    def evaluate(self, installable: Installable) -> Package:
        """What Nix knows of an installable, as `nix build` and `nix run` would find it."""
        self.check_store()
        return self.of_system(self._package(installable))

    def check_store(self) -> None:
        """Raise `StoreError` where what is built could not be read here."""
        if self.origin is None:
            self.physical()

    def of_system(self, package: Package) -> Package:
        """The package for the system that this evaluates for."""
        return replace(package, system=self._system) if self._is_told else package

    def _package(self, installable: Installable) -> Package:
        if installable.kind == "path":
            return package_of_path(installable, self.system())
        if installable.kind == "file":
            value = self._value(installable, installable.operand)
            assert value is not None, installable
            return package_of(installable, value, None, Source(), self.system())
        source = self.source(installable)
        value = self._value(installable, installable.operand)
        app = None
        if value is None or value.kind != "app":
            attr = f"apps.{self.system()}.{installable.attr or 'default'}"
            app = self._value(installable, installable.at(attr))
        if value is None and app is None:
            raise self._missing(installable)
        return package_of(installable, value, app, source, self.system())

    def _value(self, installable: Installable, operand: str) -> EvalResult | None:
        """The value of an attribute; None when the flake has no such attribute."""
        stdout = self.answer(installable, operand, EVAL_EXPRESSION)
        return None if stdout is None else EvalResult.parse(stdout)

    def answer(self, installable: Installable, operand: str, question: str) -> str | None:
        """What Nix prints of a function of an attribute; None when the flake has no such one."""
        done = self.ask(installable, operand, question)
        if done.returncode == 0:
            return done.stdout
        missing = "does not provide attribute" in cause(done.said)
        if installable.kind == "flake" and missing:
            return None
        raise failure(done, f"cannot evaluate '{installable.text}'")

    def ask(self, installable: Installable, operand: str, question: str) -> Finished:
        """`nix eval` of an attribute of the same flake or file; `question` is a function."""
        file = ("--file", installable.file) if installable.kind == "file" else ()
        options = self._evaluation_options(installable) + self._evaluating + _UNCACHED + file
        return self.run(("eval", "--json", *options, "--apply", question, "--", operand))

    def source(self, installable: Installable) -> Source:
        """What is known of a flake; asked once for each."""
        ref = installable.flake_ref
        if ref not in self._sources:
            source = flake_source(self.metadata(installable))
            if source.directory:
                source = replace(source, revision=dirty_revision(source.directory, self.env))
            self._sources[ref] = source
        return self._sources[ref]

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

    def _missing(self, installable: Installable) -> NixError:
        """Name what the flake has instead."""
        answers = {}
        for group in ("packages", "apps"):
            done = self.ask(installable, installable.at(group), NAMES)
            answers[group] = read_json(done.stdout, "eval") if done.returncode == 0 else {}
        return no_such_attribute(installable, self.system(), answers)

    # -- build

    @contextmanager
    def build(self, packages: Sequence[Package]) -> Iterator[tuple[Built, ...]]:
        """Build packages with one `nix build`, and hold what was built until the context ends.

        Yields one `Built` for each package. Raises `BuildError` when a builder fails.
        """
        from nix2oci.host.scratch import temporary_directory  # noqa: PLC0415  # start-up counts

        root = self.physical()
        with temporary_directory() as held:
            built = self._build(packages, os.path.join(held, "root"))
            if path := absent(built, root):
                raise StoreError(
                    f"cannot read {path}: Nix has it, but there is no {root}{path}",
                    hint="if the configuration of Nix has another store, name it with --store",
                )
            yield built

    def _build(self, packages: Sequence[Package], root: str) -> tuple[Built, ...]:
        for _ in range(_ATTEMPTS):
            wanted = operands(packages, exact=self.version.selects_outputs)
            options = (*store_options(self.options, evaluating=True), "--out-link", root)
            done = self.run(("build", "--json", *options, "--", *wanted), terminal=True)
            if done.returncode == 0:
                outputs = outputs_of(built_outputs(done.stdout))
                return tuple(assign(package, outputs) for package in packages)
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
        return Closure.of(path_infos(self.path_info(roots)), roots)

    def path_info(self, roots: Sequence[StorePath], store: str = "") -> str:
        """What `nix path-info --json --recursive` prints, of another store where one is given."""
        argv = ("path-info", "--json", "--recursive", *store_options(self.options, store=store))
        paths = ("--", *map(str, roots))
        formatted = ("--json-format", "1") if self.version.wants_json_format else ()
        done = self.run((*argv, *formatted, *paths))
        if done.returncode and formatted and "json" in done.said.lower():
            done = self.run((*argv, *paths))
        if done.returncode:
            where = f" in {redact(store)}" if store else ""
            raise failure(done, f"cannot read the closure of {' '.join(map(str, roots))}{where}")
        self.said_of_paths.append(done.stdout)
        return done.stdout


def _names(packages: Sequence[Package]) -> str:
    return " ".join(f"'{package.installable.text}'" for package in packages)
