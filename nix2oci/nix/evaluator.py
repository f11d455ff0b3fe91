"""What Nix knows of what the user names: its version, the system, flakes and their packages.

For one flake or file that is one process, `nix eval` with the question of `nix.question`; `flake
metadata` is one more for each flake that lies elsewhere, of which git here knows nothing. A store
path is not evaluated. Nix's own cache of evaluations is left out: it knows nothing of `--apply`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from msgspec.structs import replace

from nix2oci.errors import NixCommandError, NixError, NixOutputError
from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.host import Head, dirty_revision, store_path_behind
from nix2oci.nix.installable import Installable, no_such_attribute
from nix2oci.nix.json_output import Source, Version, flake_source, read_json
from nix2oci.nix.kept_answers import (
    Asked,
    Evaluation,
    Kept,
    evaluation_name,
    is_as_locked,
    keep_evaluation,
    kept_evaluation,
)
from nix2oci.nix.messages import cause
from nix2oci.nix.named_flake import FlakePlace, head_at, local_source, named_place
from nix2oci.nix.options import Origin, evaluation_options, store_root, values_of
from nix2oci.nix.package import (
    EVAL_EXPRESSION,
    NAMES,
    EvalResult,
    Package,
    package_of,
    package_of_path,
)
from nix2oci.nix.process import NixRunner
from nix2oci.nix.question import NO_SYSTEM, Answer, all_outputs, of_file, of_flake
from nix2oci.nix.realise import any_lost

_UNCACHED = ("--option", "eval-cache", "false")
_MISSING = "does not provide attribute"

Found = tuple[EvalResult | None, EvalResult | None]
"""What an installable is as a package, and as an app: one of them at least."""


class Evaluator(NixRunner):
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
        self._sources: dict[str, Source] = {}
        self._metadata: dict[str, str] = {}
        self._local: dict[str, tuple[FlakePlace | None, Head | None]] = {}
        self.kept: Kept | None = None  # what Nix said in earlier runs
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
            value, app = self._joint(installable)[0] or self._one_by_one(installable)
            return package_of(installable, value, app, Source(), self.system())
        name = self._kept_name(installable)
        if found := self._kept_package(name, installable):
            return found
        answer, said = self._joint(installable)
        value, app = answer or self._one_by_one(installable)
        place, head = self._at(installable)
        if head and head.is_clean and "' is dirty" in said:  # Nix sees more than git does
            self._local[installable.flake_ref] = place, None
        package = package_of(installable, value, app, self.source(installable), self.system())
        is_kept = self.kept and name and answer and is_as_locked(said)
        if self.kept and is_kept and head_at(place, self.env) == head:  # as it was before
            keep_evaluation(self.kept, name, Evaluation(package, self.version))
        return package

    def _at(self, flake: Installable) -> tuple[FlakePlace | None, Head | None]:
        """Where a flake lies that is named by its path, and what git says of that; once for each.

        That is before it is evaluated.
        """
        ref = flake.flake_ref
        if ref not in self._local:
            place = named_place(ref)
            self._local[ref] = place, head_at(place, self.env)
        return self._local[ref]

    def _kept_name(self, installable: Installable) -> str:
        """The name that its evaluation is kept by; `""` where it is not to be kept."""
        place, head = self._at(installable)
        if not (self.kept and place and head and self.origin is None):
            return ""
        asked = Asked(self.system(), self.options, self.env)
        return evaluation_name(installable, place, head, asked)

    def _kept_package(self, name: str, installable: Installable) -> Package | None:
        """What an evaluation knew whose derivations are still there."""
        found = kept_evaluation(self.kept, name, installable) if self.kept and name else None
        if found is None or self.kept is None or any_lost([found.package], self.physical()):
            return None
        self.kept.say(f"kept evaluation of {found.package.revision}")
        self._versions.append(found.version)
        return found.package

    def _joint(self, installable: Installable) -> tuple[Found | None, str]:
        """Package and app by one question; None where they have to be looked for one by one.

        Beside them is what Nix said on standard error.
        """
        is_file, pure = installable.kind == "file", "--impure" not in self.options
        function = of_file() if is_file else of_flake(installable, self.system())
        if not function:
            return None, ""
        operand, told = installable.operand, self._evaluating
        if not is_file:
            operand, told = all_outputs(installable, self.system(), pure=pure)
        done = self.ask(installable, operand, function, told)
        if done.returncode and not (NO_SYSTEM in done.said or _MISSING in cause(done.said)):
            self.refuse_old()
            raise failure(done, f"cannot evaluate '{installable.text}'")
        answer = None if done.returncode else Answer.parse(read_json(done.stdout, "eval"))
        if answer is None or (answer.value is None and answer.app is None):
            return None, done.said
        self._versions.append(answer.version)
        return (answer.value, answer.app), done.said

    def _one_by_one(self, installable: Installable) -> Found:
        """Package and app as Nix finds each; raises `NixError` where there is neither."""
        value = self._value(installable, installable.operand)
        app = None
        if installable.kind == "flake" and (value is None or value.kind != "app"):
            attr = f"apps.{self.system()}.{installable.attr or 'default'}"
            app = self._value(installable, installable.at(attr))
        if value is None and app is None:
            raise self._missing(installable)
        return value, app

    def _value(self, installable: Installable, operand: str) -> EvalResult | None:
        """The value of an attribute; None when the flake has no such attribute."""
        stdout = self.answer(installable, operand, EVAL_EXPRESSION)
        return None if stdout is None else EvalResult.parse(stdout)

    def answer(self, installable: Installable, operand: str, question: str) -> str | None:
        """What Nix prints of a function of an attribute; None when the flake has no such one."""
        done = self.ask(installable, operand, question)
        if done.returncode == 0:
            return done.stdout
        if installable.kind == "flake" and _MISSING in cause(done.said):
            return None
        self.refuse_old()
        raise failure(done, f"cannot evaluate '{installable.text}'")

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
        file = ("--file", installable.file) if installable.kind == "file" else ()
        told = self._evaluating if told is None else told
        options = self._evaluation_options(installable) + told + _UNCACHED + file
        return self.run(("eval", "--json", *options, "--apply", question, "--", operand))

    def source(self, installable: Installable) -> Source:
        """What is known of a flake; looked up once for each."""
        ref = installable.flake_ref
        if ref not in self._sources:
            self._sources[ref] = local_source(*self._at(installable)) or self._source(installable)
        return self._sources[ref]

    def _source(self, installable: Installable) -> Source:
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

    def _missing(self, installable: Installable) -> NixError:
        """Name what the flake has instead."""
        answers = {}
        for group in ("packages", "apps"):
            done = self.ask(installable, installable.at(group), NAMES)
            answers[group] = read_json(done.stdout, "eval") if done.returncode == 0 else {}
        return no_such_attribute(installable, self.system(), answers)
