"""What is found on disk: links followed as the image will, and never out of the closure."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from support.storefiles import Files, path_of, put, store

from nix2oci.errors import RepresentationError, StoreError
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.model.closure_contents import FoundFile, digest_content
from nix2oci.nix.survey import survey
from nix2oci.plan.rootfs import ViewSwitches, rootfs


def targets(found: tuple[FoundFile, ...]) -> list[str]:
    """`name -> target`, with the store directory and hash part left out."""
    prefix = f"/nix/store/{'0' * 32}-"
    return [f"{f.name.decode()} -> {f.target.decode().removeprefix(prefix)}" for f in found]


def one(found: FoundFile | None) -> str | None:
    return targets((found,))[0].partition(" -> ")[2] if found else None


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param({"app": {"bin/app": "x:", "bin/b": "x:"}}, ["app", "b"], id="by name"),
        pytest.param({"app": {"bin/.app-wrapped": "x:"}}, [], id="hidden names are left out"),
        pytest.param({"app": {"bin/readme": ""}}, [], id="a file must be executable"),
        pytest.param({"app": {"bin/d/app": "x:"}}, [], id="a directory is no program"),
        pytest.param({"app": {"sbin/app": "x:"}}, [], id="only bin counts"),
        pytest.param({"app": {"share/x": ""}}, [], id="an output need not have bin"),
        pytest.param({"app": "x:#!"}, [], id="an output may be a file"),
        pytest.param({"app": {"bin/app": "-> gone"}}, [], id="a dangling link is no program"),
        pytest.param({"app": {"bin/app": "-> app"}}, [], id="a circle of links is no program"),
        pytest.param({"app": {"bin/app": "-> /bin/sh"}}, [], id="nor is one of the machine"),
        pytest.param(
            {"app": {"bin/app": "-> ../../../../bin/sh"}}, [], id="nor one that climbs out"
        ),
        pytest.param(
            {"app": {"bin/app": "-> @lib/libexec/app"}, "lib": {"libexec/app": "x:"}},
            ["app"],
            id="a link into the closure is one",
        ),
        pytest.param(
            {"app": {"bin/app": "-> ../libexec/./app/../app", "libexec/app": "x:"}},
            [],
            id="a file has no parent directory",
        ),
        pytest.param(
            {"app": {"bin/app": "-> ../d/../libexec/app", "d": "/", "libexec/app": "x:"}},
            ["app"],
            id="relative links are followed part by part",
        ),
        pytest.param(
            {"app": {"bin": "-> @env/bin"}, "env": {"bin/app": "x:"}},
            ["app"],
            id="bin itself may be a link, as in a joined output",
        ),
        pytest.param(
            {"app": "-> @env", "env": {"bin/app": "x:"}},
            ["app"],
            id="a store path may be a link",
        ),
        pytest.param(
            {"app": {}, "lib": {"bin/tool": "x:"}}, [], id="only named outputs have programs"
        ),
    ],
)
def test_programs(tmp_path: Path, objects: dict[str, Files | str], expected: list[str]) -> None:
    result = survey(store(tmp_path, ("app",), objects), str(tmp_path))
    assert targets(result.programs) == [f"{name} -> app/bin/{name}" for name in expected]
    assert all(program.owner == path_of("app") for program in result.programs)


def test_names_need_not_be_text(tmp_path: Path) -> None:
    closure = store(tmp_path, ("app",), {"app": {"bin/x": "x:"}})
    at = os.fsencode(f"{tmp_path}{path_of('app')}/bin")
    os.rename(at + b"/x", at + b"/\xff\n")
    (program,) = survey(closure, str(tmp_path)).programs
    assert program.target == f"{path_of('app')}/bin/".encode() + b"\xff\n"


def test_programs_of_one_name_are_known_by_their_bytes(tmp_path: Path) -> None:
    objects = {"a": {"bin/x": "x:same", "bin/y": "x:"}, "b": {"bin/x": "x:same", "bin/z": "x:"}}
    found = survey(store(tmp_path, ("a", "b"), objects), str(tmp_path)).programs
    by_name = {program.target.rpartition(b"-")[2]: program.content for program in found}
    assert by_name[b"a/bin/x"] == by_name[b"b/bin/x"]
    assert by_name[b"a/bin/x"].startswith(b"sha256:")
    assert by_name[b"b/bin/z"] == f"{path_of('b')}/bin/z".encode()


LIBC = {"lib/ld-linux-x86-64.so.2": "x:", "lib/libc.so.6": "x:"}


@pytest.mark.parametrize(
    ("objects", "field", "expected"),
    [
        pytest.param(
            {"app": {}, "cacert": {"etc/ssl/certs/ca-bundle.crt": "C"}},
            "ca_bundle",
            "cacert/etc/ssl/certs/ca-bundle.crt",
            id="certificates as nixpkgs names them",
        ),
        pytest.param(
            {"app": {}, "cacert": {"etc/ssl/certs/ca-certificates.crt": "C"}},
            "ca_bundle",
            "cacert/etc/ssl/certs/ca-certificates.crt",
            id="certificates as Debian names them",
        ),
        pytest.param(
            {
                "app": {"etc/ssl/certs/ca-certificates.crt": "C"},
                "a": {"etc/ssl/certs/ca-bundle.crt": "D"},
            },
            "ca_bundle",
            "app/etc/ssl/certs/ca-certificates.crt",
            id="a named output's certificates come first",
        ),
        pytest.param(
            {
                "app": {},
                "b": {"etc/ssl/certs/ca-bundle.crt": "C"},
                "a": {"etc/ssl/certs/ca-bundle.crt": "D"},
            },
            "ca_bundle",
            "a/etc/ssl/certs/ca-bundle.crt",
            id="then the first store path's",
        ),
        pytest.param(
            {"app": {}, "openssl": {"etc/ssl/certs": "/", "etc/ssl/openssl.cnf": ""}},
            "ca_bundle",
            None,
            id="a directory of certificates that is empty is no bundle",
        ),
        pytest.param(
            {"app": {}, "cacert": {"etc/ssl/certs/ca-bundle.crt": "-> /etc/passwd"}},
            "ca_bundle",
            None,
            id="a bundle outside the closure is none",
        ),
        pytest.param(
            {"app": {}, "tzdata": {"share/zoneinfo/UTC": "TZif"}},
            "zoneinfo",
            "tzdata/share/zoneinfo",
            id="time zones",
        ),
        pytest.param(
            {"app": {}, "other": {"share/zoneinfo/readme": ""}},
            "zoneinfo",
            None,
            id="time zones have UTC",
        ),
        pytest.param(
            {"app": {}, "iana-etc": {"etc/services": "s"}},
            "services",
            "iana-etc/etc/services",
            id="services",
        ),
        pytest.param(
            {"app": {}, "x": {"etc/services/y": "s"}}, "services", None, id="services is a file"
        ),
        pytest.param(
            {"app": {}, "iana-etc": {"etc/protocols": "s"}},
            "protocols",
            "iana-etc/etc/protocols",
            id="protocols",
        ),
        pytest.param(
            {"app": {}, "mailcap": {"etc/mime.types": "s"}},
            "mime_types",
            "mailcap/etc/mime.types",
            id="media types",
        ),
        pytest.param(
            {"app": {}, "bash": {"bin/bash": "x:", "bin/sh": "-> bash"}},
            "shell",
            "bash/bin/sh",
            id="a shell that has the name sh",
        ),
        pytest.param(
            {"app": {}, "busybox": {"bin/busybox": "x:"}},
            "shell",
            "busybox/bin/busybox",
            id="busybox is a shell",
        ),
        pytest.param({"app": {}, "x": {"bin/sh": ""}}, "shell", None, id="a shell can be run"),
        pytest.param(
            {"app": {"bin/dash": "x:"}, "bash": {"bin/sh": "x:"}},
            "shell",
            "app/bin/dash",
            id="a named output's shell comes first",
        ),
    ],
)
def test_what_any_path_may_provide(
    tmp_path: Path, objects: dict[str, Files], field: str, expected: str | None
) -> None:
    result = survey(store(tmp_path, ("app",), objects), str(tmp_path))
    assert one(getattr(result, field)) == expected


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            {"app": {}, "glibc": LIBC}, ["glibc/lib/ld-linux-x86-64.so.2"], id="glibc in nixpkgs"
        ),
        pytest.param(
            {"app": {}, "glibc": {"lib/ld-linux-x86-64.so.2": "x:", "lib64": "-> lib"}},
            ["glibc/lib/ld-linux-x86-64.so.2"],
            id="lib comes before lib64",
        ),
        pytest.param(
            {"app": {}, "libc6": {"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "x:"}},
            ["libc6/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"],
            id="glibc in Debian",
        ),
        pytest.param(
            {"app": {}, "libc6": {"lib64/ld64.so.2": "x:"}},
            ["libc6/lib64/ld64.so.2"],
            id="POWER and z have another name, and only lib64",
        ),
        pytest.param(
            {"app": {}, "musl": {"lib/ld-musl-x86_64.so.1": "-> libc.so", "lib/libc.so": "x:"}},
            ["musl/lib/ld-musl-x86_64.so.1"],
            id="musl",
        ),
        pytest.param(
            {"app": {}, "a": {"lib/ld-linux.so.2": "x:"}, "b": {**LIBC, "lib/ld-linux.so.2": "x:"}},
            ["a/lib/ld-linux.so.2", "b/lib/ld-linux-x86-64.so.2"],
            id="one for each name",
        ),
        pytest.param(
            {"app": {}, "x": {"lib/ld-linux-x86-64.so.2": "-> gone", "lib/ld-linux.so": "x:"}},
            [],
            id="dangling links and other names are none",
        ),
        pytest.param(
            {"app": {}, "x": {"lib/x86_64-linux-gnu": "-> .", **LIBC}},
            ["x/lib/ld-linux-x86-64.so.2"],
            id="a directory that holds itself has an end",
        ),
    ],
)
def test_loaders(tmp_path: Path, objects: dict[str, Files], expected: list[str]) -> None:
    result = survey(store(tmp_path, ("app",), objects), str(tmp_path))
    assert [one(loader) for loader in result.loaders] == expected


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            {"a": {"etc/nginx/nginx.conf": "", "etc/x": ""}, "b": {}},
            ["nginx/ -> a/etc/nginx", "x -> a/etc/x"],
            id="a directory of one output is not entered",
        ),
        pytest.param(
            {"a": {"etc/d/x/1": ""}, "b": {"etc/d/y": ""}},
            ["d/ -> a/etc/d", "d/ -> b/etc/d", "d/x/ -> a/etc/d/x", "d/y -> b/etc/d/y"],
            id="one that two outputs have is entered",
        ),
        pytest.param(
            {"a": {"etc/ssl/certs/x.crt": "", "etc/ssl/misc/y": ""}, "b": {}},
            [
                "ssl/ -> a/etc/ssl",
                "ssl/certs/ -> a/etc/ssl/certs",
                "ssl/misc/ -> a/etc/ssl/misc",
                "ssl/certs/x.crt -> a/etc/ssl/certs/x.crt",
            ],
            id="so is one that the view makes",
        ),
        pytest.param(
            {"a": {"etc": "-> @b/etc"}, "b": {"etc/x": ""}},
            ["x -> a/etc/x", "x -> b/etc/x"],
            id="etc itself may be a link",
        ),
        pytest.param(
            {"a": {"etc/localtime": "-> /etc/zoneinfo/UTC"}, "b": {}},
            ["localtime -> a/etc/localtime"],
            id="a link to a path of the image is kept",
        ),
        pytest.param(
            {"a": {"etc/loop": "-> ."}, "b": {"etc/loop": "-> ."}},
            ["loop -> a/etc/loop", "loop -> b/etc/loop"],
            id="a link to a directory above is not entered",
        ),
    ],
)
def test_etc(tmp_path: Path, objects: dict[str, Files], expected: list[str]) -> None:
    found = survey(store(tmp_path, ("a", "b"), objects), str(tmp_path)).etc
    marked = [line.replace(" ", "/ ", 1) if f.directory else line for f, line in with_lines(found)]
    assert marked == expected


def with_lines(found: tuple[FoundFile, ...]) -> list[tuple[FoundFile, str]]:
    return list(zip(found, targets(found), strict=True))


@pytest.mark.parametrize(
    ("content", "same"),
    [
        pytest.param(("text", "text"), True, id="equal bytes"),
        pytest.param(("text", "other"), False, id="other bytes"),
        pytest.param(("text", "-> @a/etc/x"), True, id="a link to the other's file"),
        pytest.param(("-> /run/x", "-> /run/x"), True, id="equal links out of the closure"),
        pytest.param(("-> /run/x", "-> /run/y"), False, id="other links out of the closure"),
        pytest.param(("-> x/y", "-> x/y"), False, id="relative links that lead nowhere differ"),
    ],
)
def test_contents_say_what_is_equal(
    tmp_path: Path, content: tuple[str, str], *, same: bool
) -> None:
    objects = {"a": {"etc/x": content[0]}, "b": {"etc/x": content[1]}}
    one_file, other = survey(store(tmp_path, ("a", "b"), objects), str(tmp_path)).etc
    assert (one_file.content == other.content) is same


def test_a_name_that_every_image_has_is_known_by_its_bytes(tmp_path: Path) -> None:
    closure = store(tmp_path, ("a",), {"a": {"etc/passwd": "root", "etc/motd": "hello"}})
    motd, passwd = survey(closure, str(tmp_path)).etc
    digest = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2"
    assert passwd.content == digest_content(bytes.fromhex(digest))
    assert motd.content == f"{path_of('a')}/etc/motd".encode()


def test_the_order_of_roots_does_not_count(tmp_path: Path) -> None:
    objects = {"a": {"bin/x": "x:1", "etc/x": ""}, "b": {"bin/x": "x:1", "etc/x": ""}, "c": LIBC}
    closure = store(tmp_path, ("a", "b", "c"), objects)
    turned = Closure.of(reversed(list(closure.infos.values())), reversed(closure.roots))
    assert survey(turned, str(tmp_path)) == survey(closure, str(tmp_path))


def test_another_store_directory(tmp_path: Path) -> None:
    path = path_of("app", "/gnu/store")
    put(Path(f"{tmp_path}{path}/bin/real"), "x:")
    put(Path(f"{tmp_path}{path}/bin/app"), f"-> {path}/bin/real")
    result = survey(Closure.of([PathInfo(path, bytes(32), 0, ())], [path]), str(tmp_path))
    assert result.store_dir == "/gnu/store"
    assert [program.name for program in result.programs] == [b"app", b"real"]


def test_a_store_path_that_is_gone(tmp_path: Path) -> None:
    closure = store(tmp_path, ("app",), {"app": {}, "lib": None})
    with pytest.raises(StoreError) as caught:
        survey(closure, str(tmp_path))
    assert str(caught.value) == f"cannot read {tmp_path}{path_of('lib')}: it is not in the store"
    assert caught.value.hint == (
        "was it garbage-collected? build again, or check the store with: "
        "nix-store --verify --check-contents"
    )


def test_links_in_etc_may_not_be_more_and_more(tmp_path: Path) -> None:
    """Two links on each of 30 levels lead to the next: a thousand million paths to one file."""
    names = [f"l{level}" for level in range(30)]
    objects: dict[str, Files | str] = {
        name: dict.fromkeys("ab", f"-> @{below}") for name, below in pairwise(names)
    }
    objects |= {"one": {"etc": "-> @l0"}, "two": {"etc": "-> @l0"}, "l29": {"x": ""}}
    closure = store(tmp_path, ("one", "two"), objects)
    with pytest.raises(RepresentationError) as caught:
        survey(closure, str(tmp_path))
    assert str(caught.value) == (
        "cannot merge what the outputs have in etc/: it is more than 50000 paths"
    )
    assert "--view no-etc" in (caught.value.hint or "")


def test_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    closure = store(tmp_path, ("app",), {"app": {}})
    long = tmp_path / ("x" * 300)
    with pytest.raises(StoreError) as caught:
        survey(closure, str(long))
    assert str(caught.value) == f"cannot read {long}{path_of('app')}: File name too long"


def test_a_shell_that_is_also_a_program_is_one_link(tmp_path: Path) -> None:
    closure = store(tmp_path, ("bash",), {"bash": {"bin/bash": "x:b", "bin/sh": "-> bash"}})
    tree = rootfs(survey(closure, str(tmp_path)), ViewSwitches(sh=True))
    assert tree.owned[b"usr/bin/sh"].owner == str(path_of("bash"))


@pytest.mark.parametrize(
    ("app", "names", "of_the_engine"),
    [
        pytest.param(
            {"bin/app": "x:", "srv/www/x": "", "opt": "/", "usr/bin/env": "x:", "readme": ""},
            ["opt", "readme", "srv", "usr"],
            [],
            id="what nobody expects in a package",
        ),
        pytest.param(
            {
                "share/x": "",
                "lib/x": "",
                "lib64": "-> lib",
                "libexec/x": "",
                "man": "/",
                "include/x": "",
                "nix-support/x": "",
                "info": "/",
                "doc": "/",
                "etc/x": "",
            },
            None,
            None,
            id="the furniture of packages",
        ),
        pytest.param({"bin/app": "x:", "sbin": "-> bin"}, None, None, id="another name of bin/"),
        pytest.param({"bin/app": "x:", "sbin/d": "x:"}, ["sbin"], [], id="an sbin/ of its own"),
        pytest.param(
            {"etc/hosts": "", "etc/mtab": "-> /proc/mounts", "etc/d/hosts": "", "etc/app": ""},
            [],
            ["etc/hosts", "etc/mtab"],
            id="what engines lay their own over",
        ),
        pytest.param("x:#!", None, None, id="an output that is a file"),
    ],
)
def test_what_the_root_does_not_show_is_told(
    tmp_path: Path, app: Files | str, names: list[str] | None, of_the_engine: list[str] | None
) -> None:
    found = survey(store(tmp_path, ("app",), {"app": app}), str(tmp_path))
    if names is None:
        assert found.left_out == ()
        return
    (left,) = found.left_out
    assert left.owner == path_of("app")
    assert [name.decode() for name in left.names] == names
    assert [name.decode() for name in left.of_the_engine] == of_the_engine
    assert not {"hosts", "mtab"} & {each.name.decode() for each in found.etc}


def test_what_only_a_path_behind_an_output_has_is_not_told(tmp_path: Path) -> None:
    closure = store(tmp_path, ("app",), {"app": {"bin/app": "x:"}, "lib": {"srv/x": ""}})
    assert survey(closure, str(tmp_path)).left_out == ()
