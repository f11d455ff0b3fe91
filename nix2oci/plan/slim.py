"""Which rules of slimming an image has: those of a level that nothing speaks against, or by name.

The rules themselves look at one store path each (`model.slim_rules`); what speaks against one was
found in the files of the whole closure, since a manual that some program opens is no dead weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from nix2oci.errors import ConfigError
from nix2oci.model.slim_rules import EVERYTHING, RULES, RuleSet
from nix2oci.model.tree import Symlink, Tree
from nix2oci.text import display


class SlimWish(Struct, frozen=True):
    """What the user asked for: a level, or rules by name."""

    level: int = 0
    names: tuple[str, ...] = ()


class SlimDecision(Struct, frozen=True):
    """The rules of an image, and what spoke against which."""

    rules: RuleSet = EVERYTHING
    against: Mapping[str, str] = field(default_factory=dict)
    """Rule -> what speaks against it, in words; a rule that was asked for by name has it anyway."""

    @property
    def kept(self) -> Mapping[str, str]:
        """Rules that the level has and the image has not, each with the reason."""
        names = self.rules.names
        return {rule: why for rule, why in self.against.items() if rule not in names}


def decide(
    wish: SlimWish,
    found: Mapping[str, str],
    env: Mapping[str, str],
    *,
    one_layer: bool,
) -> SlimDecision:
    """The rules for an image.

    `found` has, for some rules, the file that speaks against it; `env` are the variables of the
    image. An image of `one_layer` has no hard links: launchers lie in that layer, and a further
    name of what one replaces would be the launcher, too. Raises `ConfigError` for that rule there.
    """
    against = {rule: f"{RULES[rule].what} may be needed: {why}" for rule, why in found.items()}
    against |= {rule: f"the image sets {name}" for rule, name in _variables(env)}
    if one_layer:
        against["duplicates"] = "an image of one layer has launchers beside the store paths"
    asked = wish.names or [rule.name for rule in RULES.values() if rule.level <= wish.level]
    if one_layer and "duplicates" in wish.names:
        raise ConfigError(
            "cannot use the rule 'duplicates' in an image of one layer",
            hint="leave it out, or allow two layers: --max-layers 2",
        )
    names = wish.names or [rule for rule in asked if rule not in against]
    return SlimDecision(
        RuleSet.of(names), {rule: against[rule] for rule in RULES if rule in {*asked} & {*against}}
    )


def _variables(env: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Rules that variables of the image speak against."""
    if env.get("PYTHONOPTIMIZE"):
        yield "pyc", "PYTHONOPTIMIZE"
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LC_CTYPE", "LANG"):
        if env.get(name, "C").partition(".")[0] not in ("", "C", "POSIX"):
            yield "locale", name
            return


def check_links(tree: Tree, rules: RuleSet, store_dir: str) -> None:
    """Raise `ConfigError` where the root has a link to something that is left out."""
    top = store_dir.encode() + b"/"
    for entry in tree:
        if not isinstance(entry, Symlink) or not entry.target.startswith(top):
            continue
        inside = entry.target[len(top) :].partition(b"/")[2]
        if inside and (rule := rules.leaves_out(inside)):
            raise ConfigError(
                f"cannot leave out {rule}: /{display(entry.path)} is a link to "
                f"{display(entry.target)}",
                hint=f"name rules without it: --slim {_others(rules, rule)}",
            )


def _others(rules: RuleSet, rule: str) -> str:
    return ",".join(name for name in rules.names if name != rule) or "none"
