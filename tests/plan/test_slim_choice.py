"""Which rules of slimming an image has: by level, by name, and against what was found."""

from __future__ import annotations

import pytest

from nix2oci.errors import ConfigError
from nix2oci.model.slim_rules import RULES, RuleSet
from nix2oci.model.tree import Owned, Symlink, Tree
from nix2oci.plan.slim import SlimWish, check_links, decide

FIRST = ("docs", "dev", "pyc", "duplicates")


def names(wish: SlimWish, found: dict[str, str] | None = None, **env: str) -> tuple[str, ...]:
    return decide(wish, found or {}, env, one_layer=False).rules.names


def test_the_first_level_has_what_is_read_by_nobody_and_the_second_has_all() -> None:
    assert names(SlimWish(level=1)) == FIRST
    assert names(SlimWish(level=2)) == tuple(RULES)


def test_a_rule_that_something_speaks_against_is_not_in_a_level() -> None:
    slim = decide(SlimWish(level=2), {"gconv": "bash/bin/bash imports it"}, {}, one_layer=False)
    assert "gconv" not in slim.rules.names
    assert list(slim.kept) == ["gconv"]
    assert slim.kept["gconv"].endswith("may be needed: bash/bin/bash imports it")


def test_a_rule_that_is_named_holds_whatever_speaks_against_it_and_that_is_said() -> None:
    slim = decide(SlimWish(names=("gconv",)), {"gconv": "x", "docs": "y"}, {}, one_layer=False)
    assert slim.rules.names == ("gconv",)
    assert list(slim.against) == ["gconv"]
    assert not slim.kept


@pytest.mark.parametrize(
    ("env", "rule"),
    [
        ({"LANG": "de_DE.UTF-8"}, "locale"),
        ({"LANGUAGE": "de"}, "locale"),
        ({"LC_ALL": "en_US.UTF-8"}, "locale"),
        ({"PYTHONOPTIMIZE": "1"}, "pyc"),
    ],
)
def test_variables_of_the_image_speak_against_rules(env: dict[str, str], rule: str) -> None:
    assert set(RULES) - set(names(SlimWish(level=2), None, **env)) == {rule}


@pytest.mark.parametrize("value", ["C", "C.UTF-8", "POSIX", ""])
def test_a_locale_that_needs_no_translation_speaks_against_nothing(value: str) -> None:
    assert names(SlimWish(level=2), LANG=value) == tuple(RULES)


def test_an_image_of_one_layer_has_no_hard_links() -> None:
    assert "duplicates" not in decide(SlimWish(level=2), {}, {}, one_layer=True).rules.names
    with pytest.raises(ConfigError, match="rule 'duplicates' in an image of one layer"):
        decide(SlimWish(names=("duplicates",)), {}, {}, one_layer=True)


def test_a_link_of_the_root_to_what_is_left_out_is_refused() -> None:
    target = b"/nix/store/" + b"0" * 32 + b"-site-1/share/doc/site"
    tree = Tree.merge([Owned(Symlink(b"srv/www", target), "files")])
    with pytest.raises(ConfigError, match="cannot leave out docs: /srv/www is a link to") as err:
        check_links(tree, RuleSet.of(["docs", "dev"]), "/nix/store")
    assert err.value.hint == "name rules without it: --slim dev"
    check_links(tree, RuleSet.of(["dev"]), "/nix/store")
