"""What each rule of slimming leaves out of a store path, and what no rule ever does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.model.slim_rules import RULES, RuleSet

ALL = RuleSet.of(RULES)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("share/man/man1/git.1.gz", "docs"),
        ("share/doc/git/README", "docs"),
        ("share/info/dir", "docs"),
        ("share/gtk-doc/html/x.html", "docs"),
        ("share/bash-completion/completions/git", "docs"),
        ("share/zsh/site-functions/_git", "docs"),
        ("share/fish/vendor_completions.d/git.fish", "docs"),
        ("include/zlib.h", "dev"),
        ("lib/libz.a", "dev"),
        ("lib/x86_64-linux-gnu/libz.la", "dev"),
        ("lib/pkgconfig/zlib.pc", "dev"),
        ("share/pkgconfig/x.pc", "dev"),
        ("lib/cmake/zlib/zlib-config.cmake", "dev"),
        ("share/aclocal/x.m4", "dev"),
        ("nix-support/propagated-build-inputs", "dev"),
        ("lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile", "dev"),
        ("lib/python3.12/__pycache__/os.cpython-312.opt-1.pyc", "pyc"),
        ("lib/python3.12/__pycache__/os.cpython-312.opt-2.pyc", "pyc"),
        ("share/locale/de/LC_MESSAGES/bash.mo", "locale"),
        ("lib/locale/locale-archive", "locale"),
        ("share/i18n/charmaps/UTF-8.gz", "locale"),
        ("lib/gconv/UTF-16.so", "gconv"),
        ("lib/x86_64-linux-gnu/gconv/gconv-modules", "gconv"),
        ("lib/python3.12/test/test_os.py", "python"),
        ("lib/python3.12/idlelib/run.py", "python"),
    ],
)
def test_a_file_is_left_out_by_one_rule(path: str, rule: str) -> None:
    assert ALL.leaves_out(path.encode()) == rule
    assert RuleSet.of([rule]).leaves_out(path.encode()) == rule
    assert RuleSet.of(set(RULES) - {rule}).leaves_out(path.encode()) is None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("bin/git", id="a program"),
        pytest.param("bin/python3-config", id="a program that compilers ask, which /bin has too"),
        pytest.param("lib/libz.so.1", id="a library"),
        pytest.param("lib/python3.12/os.py", id="a module"),
        pytest.param("lib/python3.12/__pycache__/os.cpython-312.pyc", id="bytecode"),
        pytest.param("lib/python3.12/site-packages/test/x.py", id="a package that is called test"),
        pytest.param("lib/python3.12/test.py", id="a module that is called test"),
        pytest.param("lib/locale/C.utf8/LC_CTYPE", id="the locale that needs no translation"),
        pytest.param("share/zoneinfo/Europe/Berlin", id="a time zone"),
        pytest.param("share/docs/x", id="another directory"),
        pytest.param("lib/include/x.h", id="headers where no compiler looks"),
        pytest.param("etc/ssl/certs/ca-bundle.crt", id="certificates"),
        pytest.param("share/doc/git/copyright", id="the licence of a Debian package"),
        pytest.param("share/doc/git/LICENSE.txt", id="a licence"),
        pytest.param("share/doc/licenses/MIT", id="a directory of licences"),
        pytest.param("share/doc/x/COPYING.LIB", id="a licence by its old name"),
        pytest.param("share/doc/x/Apache-2.0-LICENCE", id="a licence with its name in front"),
        pytest.param("share/doc/x/NOTICE", id="what the Apache licence asks for"),
        pytest.param("include/x/AUTHORS", id="authors"),
    ],
)
def test_nothing_leaves_it_out(path: str) -> None:
    assert ALL.leaves_out(path.encode()) is None


def test_no_rule_leaves_nothing_out() -> None:
    assert not RuleSet()
    assert RuleSet().leaves_out(b"share/man/man1/git.1") is None
    assert RuleSet.of(["duplicates"]).leaves_out(b"share/man/man1/git.1") is None


def test_a_set_of_rules_does_not_depend_on_their_order() -> None:
    assert str(RuleSet.of(["dev", "docs"])) == str(RuleSet.of(["docs", "dev"])) == "docs.1 dev.1"


@given(st.binary(min_size=1), st.sampled_from(["share/man", "include", "lib/gconv"]))
def test_what_is_below_something_that_is_left_out_goes_with_it(name: bytes, top: str) -> None:
    path = top.encode() + b"/" + name
    licence = b"licen" in name.lower() or b"copy" in name.lower() or b"notice" in name.lower()
    if not licence and b"authors" not in name.lower():
        assert ALL.leaves_out(path) is not None
