"""The table of files that often name a shell, and how reports count them."""

from __future__ import annotations

import pytest
from support.fakestore import store_path

from nix2oci.model.shell_references import ReferenceKind, ShellReference
from nix2oci.plan.shell_uses import KNOWN, known, losses, users

BASH = store_path("bash-5")


def mention(
    inside: str, owner: str = "pkg-1", kind: ReferenceKind = ReferenceKind.TEXT
) -> ShellReference:
    path = store_path(owner)
    return ShellReference(path, f"{path}/{inside}".rstrip("/").encode(), BASH, kind)


FILES = [
    ("lib/python3.13/subprocess.py", "Python's subprocess"),
    ("lib/python3.13/__pycache__/subprocess.cpython-313.pyc", "Python's subprocess"),
    ("lib/python3.13/__pycache__/subprocess.cpython-313.opt-2.pyc", "Python's subprocess"),
    ("lib/python3.13/config-3.13-x86_64-linux-gnu/Makefile", "Python's build settings"),
    ("lib/python3.13/_sysconfigdata__linux_.py", "Python's build settings"),
    ("bin/python3.13-config", "settings for building"),
    ("bin/python3-config", "settings for building"),
    ("bin/curl-config", "settings for building"),
    ("bin/ncursesw6-config", "settings for building"),
    ("bin/krb5-config", "settings for building"),
    ("lib/pkgconfig/bash.pc", "settings for building"),
    ("lib/libfoo.la", "settings for building"),
    ("lib/bash/Makefile.inc", "settings for building"),
    ("include/bash/config.h", "settings for building"),
    ("nix-support/setup-hook", "nix-support"),
    ("nix-support/propagated-build-inputs", "nix-support"),
    ("lib/perl5/5.40.0/x86_64-linux-thread-multi/Config.pm", "Perl's Config"),
    ("lib/perl5/5.40.0/x86_64-linux-thread-multi/Config_heavy.pl", "Perl's Config"),
    ("lib/perl5/5.40.0/x86_64-linux-thread-multi/CORE/libperl.so", "Perl's Config"),
    ("bin/perl5.40.0", "Perl's Config"),
    ("bin/egrep", "egrep and fgrep"),
    ("bin/fgrep", "egrep and fgrep"),
    ("bin/zgrep", "scripts around compressed files"),
    ("bin/zcat", "scripts around compressed files"),
    ("bin/gunzip", "scripts around compressed files"),
    ("bin/xzless", "scripts around compressed files"),
    ("bin/lzcmp", "scripts around compressed files"),
    ("bin/bzgrep", "scripts around compressed files"),
    ("bin/zstdgrep", "scripts around compressed files"),
    ("lib/node_modules/npm/bin/npm", "npm"),
    ("lib/node_modules/npm/node_modules/node-gyp/gyp/gyp", "npm"),
    ("include/node/config.gypi", "npm"),
    ("libexec/git-core/git-submodule", "git's scripts"),
    ("share/git-core/templates/hooks/pre-push.sample", "git's scripts"),
    ("bin/ldd", "scripts of the C library"),
    ("etc/init.d/nginx", "scripts for a boot"),
    ("share/doc/x/examples/run.sh", "documentation and completion"),
    ("share/bash-completion/completions/nix", "documentation and completion"),
    ("bin/app", None),
    ("bin/grep", None),
    ("bin/configure", None),
    ("bin/zsh", None),
    ("share/app/subprocess.py", None),
    ("lib/python3.13/site-packages/subprocess.py", None),
    ("", None),
]


@pytest.mark.parametrize(("inside", "name"), FILES, ids=[inside or "top" for inside, _ in FILES])
def test_a_file_is_known_by_its_place(inside: str, name: str | None) -> None:
    found = known(mention(inside))
    assert (found.name if found else None) == name


def test_every_entry_of_the_table_has_an_example() -> None:
    assert {name for _, name in FILES if name} == {kind.name for kind in KNOWN}


def test_a_loss_ends_a_sentence() -> None:
    for kind in KNOWN:
        assert kind.loss.strip(" .") == kind.loss
        assert kind.loss


SOME = (
    mention("bin/run", kind=ReferenceKind.SHEBANG),
    mention("lib/python3.13/subprocess.py", "python3-3.13"),
    mention("bin/run"),
    mention(
        "lib/python3.13/__pycache__/subprocess.cpython-313.pyc",
        "python3-3.13",
        ReferenceKind.BINARY,
    ),
    mention("bin/egrep", "gnugrep-3", ReferenceKind.SHEBANG),
    mention("lib/x.so", kind=ReferenceKind.BINARY),
    mention("", "script", ReferenceKind.SHEBANG),
)


def test_users_are_known_kinds_with_their_number_then_files() -> None:
    assert users(SOME) == (
        "Python's subprocess (2 files)",
        "egrep and fgrep (1 file)",
        "pkg-1/bin/run",
        "pkg-1/lib/x.so",
        "script",
    )


def test_losses_are_told_once_and_the_rest_is_counted() -> None:
    assert losses(SOME) == (
        "subprocess with shell=True",
        "egrep and fgrep (grep -E and grep -F do the same)",
        "2 scripts",
        "1 other file",
    )
    assert losses([mention("x"), mention("y")]) == ("2 files",)
    assert losses([]) == users([]) == ()
