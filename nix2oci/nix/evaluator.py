"""What Nix knows of what the user names: flakes, files and their packages.

For each that is one process, `nix eval` with the question of `nix.question`. A store path is not
evaluated. Nix's own cache of evaluations is left out: it knows nothing of `--apply`.
"""

from __future__ import annotations

import functools

from msgspec.structs import replace

from nix2oci.errors import NixError
from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.failure import failure
from nix2oci.nix.flakes import FlakeReader
from nix2oci.nix.host import Head, store_path_behind
from nix2oci.nix.installable import Installable, no_such_attribute
from nix2oci.nix.json_output import Source, read_json
from nix2oci.nix.kept_answers import (
    Asked,
    Evaluation,
    Kept,
    evaluation_name,
    is_as_locked,
    is_settled,
    keep_evaluation,
    kept_evaluation,
    named_commit,
    named_tree,
)
from nix2oci.nix.messages import cause
from nix2oci.nix.named_flake import head_at
from nix2oci.nix.package import (
    EVAL_EXPRESSION,
    NAMES,
    EvalResult,
    Package,
    package_of,
    package_of_path,
)
from nix2oci.nix.question import NO_SYSTEM, Answer, all_outputs, of_file, of_flake

_MISSING = "does not provide attribute"

Found = tuple[EvalResult | None, EvalResult | None]
"""What an installable is as a package, and as an app: one of them at least."""


class Evaluator(FlakeReader):
    """The same, which evaluates as well."""

    def _know_nothing(self) -> None:
        super()._know_nothing()
        self.kept: Kept | None = None  # what Nix said in earlier runs
        self.kept_sources: list[str] = []  # where they lie that evaluations were kept of
        self._early: dict[tuple[Installable, str], Package] = {}

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
        early = self._early.pop((installable, self._system), None)
        return self.of_system(early or self._package(installable))

    def evaluate_early(self, installable: Installable) -> None:
        """Evaluate what is locked by its name, which tells where its source lies as well.

        `evaluate` has the answer then. Of any other flake that is known before.
        """
        if installable.kind == "flake" and self._locked(installable):
            self.check_store()
            self._early[installable, self._system] = self._package(installable)

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
        if self.kept and is_kept and self._is_as_it_was(installable, head):
            known = Evaluation(package, self.version, self._trees.get(installable.flake_ref))
            keep_evaluation(self.kept, name, known, self.physical())
        return package

    def _is_as_it_was(self, flake: Installable, head: Head | None) -> bool:
        """Whether what was evaluated is what the name of the evaluation says."""
        place, _ = self._at(flake)
        return head_at(place, self.env) == head if place else is_settled(self.fetched_place(flake))

    def _kept_name(self, installable: Installable) -> str:
        """The name that its evaluation is kept by; `""` where it is not to be kept."""
        if self.kept is None or self.origin is not None:
            return ""
        place, head = self._at(installable)
        if place:
            tree = named_tree(place, head) if head else ()
        else:
            tree = named_commit(self._meant(installable))
        asked = Asked(self.system(), self.options, self.env)
        return evaluation_name(installable, tree, asked)

    def _kept_package(self, name: str, installable: Installable) -> Package | None:
        """What an evaluation knew that can still be used."""
        if not (self.kept and name):
            return None
        found = kept_evaluation(self.kept, name, installable, self.physical())
        if found is None:
            return None
        self.kept.say(f"kept evaluation of {found.package.revision}")
        self._versions.append(found.version)
        self.kept_sources += found.sources
        if found.tree:
            self._trees[installable.flake_ref] = found.tree
        return found.package

    def _joint(
        self, installable: Installable, *, with_tree: bool = True
    ) -> tuple[Found | None, str]:
        """Package and app by one question; None where they have to be looked for one by one.

        Beside them is what Nix said on standard error. `with_tree` asks for the source of a flake
        that is locked by its name, too.
        """
        is_file, pure = installable.kind == "file", "--impure" not in self.options
        with_tree = with_tree and not (is_file or self._is_found(installable))
        locked = self._locked(installable) if with_tree else {}
        function = of_file() if is_file else of_flake(installable, self.system(), locked)
        if not function:
            return None, ""
        operand, told = installable.operand, self._evaluating
        if not is_file:
            operand, told = all_outputs(installable, self.system(), pure=pure)
        done = self.ask(installable, operand, function, told)
        if done.returncode and not (NO_SYSTEM in done.said or _MISSING in cause(done.said)):
            if locked:  # settings may forbid a question to fetch anything
                return self._joint(installable, with_tree=False)
            self.refuse_old()
            raise failure(done, f"cannot evaluate '{installable.text}'")
        answer = None if done.returncode else Answer.parse(read_json(done.stdout, "eval"))
        if answer and answer.tree:
            self._take_tree(installable, answer.tree)
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

    def _missing(self, installable: Installable) -> NixError:
        """Name what the flake has instead."""
        answers = {}
        for group in ("packages", "apps"):
            done = self.ask(installable, installable.at(group), NAMES)
            answers[group] = read_json(done.stdout, "eval") if done.returncode == 0 else {}
        return no_such_attribute(installable, self.system(), answers)
