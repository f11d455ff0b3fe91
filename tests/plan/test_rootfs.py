"""The root of an image: exact listings, clashes, accounts. Goldens are in data/view/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.paths import DATA
from support.surveys import (
    BASH,
    CACERT,
    GROUP,
    NSSWITCH,
    OS_RELEASE,
    OTHER,
    PASSWD,
    SAME,
    TZDATA,
    closure_level,
    found,
)
from support.treedump import treedump

from nix2oci.errors import ConfigError, ConflictError, RepresentationError
from nix2oci.model.accounts import Group, User
from nix2oci.model.closure_contents import (
    AT_RUN_TIME,
    OWN_DIRECTORIES,
    ClosureContents,
    FoundFile,
)
from nix2oci.model.tree import Directory, File, Symlink, Tree, parents, sort_key
from nix2oci.plan.rootfs import rootfs
from nix2oci.plan.view_switches import ViewSwitches

GOLDENS = DATA / "view"
FULL = ClosureContents(
    programs=(found("app-1.0", "bin/app"), found("app-1.0", "bin/appctl")),
    places=(found("app-1.0", "etc/app", directory=True), found("app-1.0", "etc/app.conf")),
    loaders=(closure_level("glibc-2.39", "lib/ld-linux-x86-64.so.2"),),
    ca_bundle=CACERT,
    zoneinfo=TZDATA,
    services=closure_level("iana-etc-20240318", "etc/services"),
    protocols=closure_level("iana-etc-20240318", "etc/protocols"),
    mime_types=closure_level("mailcap-2.1.54", "etc/mime.types"),
    shell=BASH,
)
# What cacert has in etc/, as a root of the image.
CACERT_ETC = (
    found("nss-cacert-3.101", "etc/ssl", directory=True),
    found("nss-cacert-3.101", "etc/ssl/certs", directory=True),
    found("nss-cacert-3.101", "etc/ssl/certs/ca-bundle.crt", SAME),
    found("nss-cacert-3.101", "etc/ssl/certs/ca-no-trust-rules-bundle.crt"),
    found("nss-cacert-3.101", "etc/ssl/trust-source", directory=True),
)
NOTHING = ViewSwitches(
    programs=False, etc=False, places=False, certificates=False, databases=False, zoneinfo=False
)


@pytest.mark.parametrize(
    ("golden", "survey", "switches"),
    [
        pytest.param("bare", ClosureContents(), ViewSwitches(), id="a closure that has nothing"),
        pytest.param("full", FULL, ViewSwitches(), id="a closure that has everything"),
        pytest.param("full-sh", FULL, ViewSwitches(sh=True), id="the same, /bin/sh asked for"),
        pytest.param("off", FULL, NOTHING, id="the same, all switched off"),
        pytest.param(
            "cacert-named",
            ClosureContents(ca_bundle=CACERT, places=CACERT_ETC),
            ViewSwitches(),
            id="certificates as a named output are merged with the view's links",
        ),
        pytest.param(
            "cacert-named-off",
            ClosureContents(ca_bundle=CACERT, places=CACERT_ETC),
            ViewSwitches(certificates=False),
            id="and are a link where the view makes none",
        ),
        pytest.param(
            "two-outputs",
            ClosureContents(
                programs=(found("b", "bin/x", SAME), found("a", "bin/x", SAME)),
                places=(
                    found("a", "etc/app", directory=True),
                    found("a", "etc/app/a.conf"),
                    found("a", "etc/app/same.conf", SAME),
                    found("a", "etc/one", b"/nix/store/shared", directory=True),
                    found("a", "etc/one/file", SAME),
                    found("b", "etc/app", directory=True),
                    found("b", "etc/app/b.conf"),
                    found("b", "etc/app/same.conf", SAME),
                    found("b", "etc/one", b"/nix/store/shared", directory=True),
                    found("b", "etc/one/file", SAME),
                ),
            ),
            ViewSwitches(),
            id="two outputs share directories and equal files",
        ),
    ],
)
def test_listing(golden: str, survey: ClosureContents, switches: ViewSwitches) -> None:
    expected = (GOLDENS / f"{golden}.txt").read_text().splitlines()
    assert treedump(rootfs(survey, switches)) == expected


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param(b"etc/passwd", PASSWD, id="three users"),
        pytest.param(b"etc/group", GROUP, id="five groups"),
        pytest.param(b"etc/nsswitch.conf", NSSWITCH, id="only what glibc has built in"),
        pytest.param(b"usr/lib/os-release", OS_RELEASE, id="no distribution, no version"),
    ],
)
def test_content(path: bytes, content: str) -> None:
    entry = rootfs(ClosureContents(), ViewSwitches()).get(path)
    assert entry == File(path, len(content), (content.encode(),), 0o644)


def test_the_survey_looks_into_all_directories_of_every_root() -> None:
    tree = rootfs(ClosureContents(ca_bundle=CACERT), ViewSwitches())
    directories = {entry.path for entry in tree if isinstance(entry, Directory)}
    left_out = {b".", b"usr/bin", b"usr/lib", *AT_RUN_TIME}
    assert directories - left_out == OWN_DIRECTORIES


def test_a_shell_can_read_os_release(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text(OS_RELEASE)
    result = subprocess.run(
        ["sh", "-euc", f'. {file}; echo "$ID|$ID_LIKE|$PRETTY_NAME"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "nix2oci|nixos|nix2oci image\n"


def test_an_outputs_sh_is_left_out_unless_it_is_asked_for() -> None:
    survey = ClosureContents(programs=(found("bash", "bin/bash"), found("bash", "bin/sh", SAME)))
    tree = rootfs(survey, ViewSwitches())
    assert tree.get(b"usr/bin/bash") is not None
    assert tree.get(b"usr/bin/sh") is None


def test_two_shells_of_named_outputs_clash_when_sh_is_asked_for() -> None:
    programs = (found("bash", "bin/sh", SAME), found("busybox", "bin/sh", OTHER))
    with pytest.raises(ConflictError, match="cannot place /usr/bin/sh: both /nix"):
        rootfs(ClosureContents(programs=programs, shell=programs[0]), ViewSwitches(sh=True))


def test_a_shell_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        rootfs(ClosureContents(), ViewSwitches(sh=True))
    assert str(caught.value) == "cannot link /bin/sh: there is no shell in the closure"
    assert caught.value.hint == (
        "add one to the image, such as nixpkgs#bash, or do not ask for /bin/sh"
    )


def test_a_name_that_marks_a_deletion() -> None:
    with pytest.raises(RepresentationError, match=r"cannot put /etc/\.wh\.x into a layer"):
        rootfs(ClosureContents(places=(found("a", "etc/.wh.x"),)), ViewSwitches())


def lines(tree: Tree, prefix: str) -> list[str]:
    return [line for line in treedump(tree) if line.split(" ")[2].startswith(prefix)]


def test_more_users_and_groups() -> None:
    users = (
        User("app", 1000, 1000),
        User("db", 1001, 1000, "/var/lib/db", "/bin/sh"),
        User("log", 1002, 4),
    )
    tree = rootfs(ClosureContents(), ViewSwitches(), users, (Group("adm", 4, ("app", "db")),))
    passwd, group = tree.get(b"etc/passwd"), tree.get(b"etc/group")
    assert isinstance(passwd, File)
    assert isinstance(group, File)
    assert b"".join(passwd.chunks).decode() == PASSWD + (
        "app:x:1000:1000:app:/home/app:/sbin/nologin\n"
        "db:x:1001:1000:db:/var/lib/db:/bin/sh\n"
        "log:x:1002:4:log:/home/log:/sbin/nologin\n"
    )
    assert b"".join(group.chunks).decode() == GROUP + "adm:x:4:app,db\napp:x:1000:\n"
    assert lines(tree, "home/") == [
        "drwx------ 1000:1000 home/app",
        "drwx------ 1002:4 home/log",
        "drwx------ 65532:65532 home/nonroot",
    ]
    assert lines(tree, "var/lib/") == ["drwx------ 1001:1000 var/lib/db"]


@pytest.mark.parametrize("home", ["/", "/nonexistent", "/var/empty", "/tmp", "/root/", "/home"])
def test_a_home_that_is_there_already_is_left_as_it_is(home: str) -> None:
    tree = rootfs(ClosureContents(), ViewSwitches(), (User("app", 1000, 1000, home),))
    plain = rootfs(ClosureContents(), ViewSwitches())
    assert [e for e in tree if not e.path.startswith(b"etc/")] == [
        e for e in plain if not e.path.startswith(b"etc/")
    ]


def test_parents_of_a_home_belong_to_root() -> None:
    tree = rootfs(ClosureContents(), ViewSwitches(), (User("app", 1000, 1000, "/srv/a/b"),))
    assert lines(tree, "srv") == [
        "drwxr-xr-x 0:0 srv",
        "drwxr-xr-x 0:0 srv/a",
        "drwx------ 1000:1000 srv/a/b",
    ]


@pytest.mark.parametrize("home", ["/nix", "/nix/store", "/nix/store/x", "/nix/store/"])
def test_a_home_in_the_store(home: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rootfs(ClosureContents(), ViewSwitches(), (User("app", 1000, 1000, home),))
    assert str(caught.value) == f"cannot add user 'app': home '{home}' is in the way of the store"


@pytest.mark.parametrize(
    ("home", "message"),
    [
        pytest.param(
            "/bin/x",
            "cannot place /bin: both nix2oci's own /bin and user 'app' provide it",
            id="below a link",
        ),
        pytest.param(
            "/etc/passwd",
            "cannot place /etc/passwd: both nix2oci's own /etc/passwd and user 'app' provide it",
            id="a file",
        ),
    ],
)
def test_a_home_that_clashes(home: str, message: str) -> None:
    with pytest.raises(ConflictError) as caught:
        rootfs(ClosureContents(), ViewSwitches(), (User("app", 1000, 1000, home),))
    assert str(caught.value) == message


def test_two_users_with_one_home_of_their_own() -> None:
    users = (User("a", 1000, 1000, "/srv"), User("b", 1001, 1001, "/srv"))
    with pytest.raises(ConflictError, match="cannot place /srv: both user 'a' and user 'b'"):
        rootfs(ClosureContents(), ViewSwitches(), users)


def listing_of(survey: ClosureContents) -> list[str]:
    return treedump(rootfs(survey, ViewSwitches(sh=True)))


MANY = ClosureContents(
    programs=tuple(found(o, f"bin/{n}", SAME) for o in "cab" for n in ("x", "y", "sh")),
    places=(
        *CACERT_ETC,
        *(found(o, "etc/d", directory=True) for o in "ba"),
        *(found(o, f"etc/d/{o}") for o in "ba"),
        *(found(o, "etc/d/same", SAME) for o in "ba"),
    ),
    loaders=(
        closure_level("glibc", "lib/ld-linux-x86-64.so.2"),
        closure_level("glibc32", "lib/ld-linux.so.2"),
    ),
    ca_bundle=CACERT,
    shell=BASH,
)


@given(
    st.permutations(MANY.programs),
    st.permutations(MANY.places),
    st.permutations(MANY.loaders),
)
def test_the_order_of_what_was_found_does_not_count(
    programs: list[FoundFile], etc: list[FoundFile], loaders: list[FoundFile]
) -> None:
    turned = replace(MANY, programs=tuple(programs), places=tuple(etc), loaders=tuple(loaders))
    assert listing_of(turned) == listing_of(MANY)


@pytest.mark.parametrize(
    "survey", [ClosureContents(shell=BASH), FULL, MANY], ids=["bare", "full", "many"]
)
def test_every_root_is_sound(survey: ClosureContents) -> None:
    tree = rootfs(survey, ViewSwitches(sh=True))
    paths = [entry.path for entry in tree]
    assert paths == sorted(set(paths), key=sort_key)
    assert all(not path.startswith(b"/") for path in paths)
    for path in paths:
        for parent in parents(path):
            assert isinstance(tree.get(parent), Directory), parent
    for name in (b"bin", b"sbin", b"lib", b"lib64", b"usr/sbin"):
        assert isinstance(tree.get(name), Symlink)
        assert not any(path.startswith(name + b"/") for path in paths)
    for entry in tree:
        if isinstance(entry, Symlink) and entry.target.startswith(b"/"):
            assert entry.target.startswith(b"/nix/store/")
    # Small enough that a reader of the layer has passwd and os-release at once.
    assert sum(entry.size for entry in tree if isinstance(entry, File)) < 4000


def test_relative_links_lead_to_something() -> None:
    tree = rootfs(FULL, ViewSwitches())
    for entry in tree:
        if isinstance(entry, Symlink) and not entry.target.startswith(b"/"):
            parts = entry.path.split(b"/")[:-1]
            for part in entry.target.split(b"/"):
                parts = parts[:-1] if part == b".." else [*parts, part]
            assert tree.get(b"/".join(parts)) is not None, entry
