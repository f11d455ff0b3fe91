"""What is found on disk: links followed as the image will, and never out of the closure."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from support.storefiles import Files, path_of, put, store

from nix2oci.errors import RepresentationError, StoreError
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.model.closure_contents import FoundFile, Reason, digest_content
from nix2oci.nix.survey import survey
from nix2oci.plan.rootfs import rootfs
from nix2oci.plan.view_switches import ViewSwitches


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
        pytest.param({"app": {"libexec/app": "x:"}}, [], id="only bin counts"),
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


def test_other_directories_of_programs_count_as_bin(tmp_path: Path) -> None:
    app = {"bin/a": "x:", "sbin/d": "x:", "usr/bin/u": "x:", "usr/sbin": "-> ../sbin"}
    result = survey(store(tmp_path, ("app",), {"app": app}), str(tmp_path))
    assert targets(result.programs) == [
        "a -> app/bin/a",
        "d -> app/sbin/d",
        "u -> app/usr/bin/u",
    ]


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
            {"app": {}, "glibc-locales": {"lib/locale/locale-archive": "A"}},
            "locales",
            "glibc-locales/lib/locale",
            id="an archive of locales",
        ),
        pytest.param(
            {"app": {}, "glibc-locales": {"lib/locale/locale-archive": "A"}},
            "locale_archive",
            "glibc-locales/lib/locale/locale-archive",
            id="and the archive itself",
        ),
        pytest.param(
            {"app": {}, "x": {"usr/lib/locale/de_DE/LC_CTYPE": "A"}},
            "locales",
            "x/usr/lib/locale",
            id="directories of locales, as Debian names the place",
        ),
        pytest.param(
            {"app": {}, "glibc": {"lib/locale/C.utf8/LC_CTYPE": "A"}},
            "locales",
            None,
            id="the locale that the C library itself brings is not looked for elsewhere",
        ),
        pytest.param(
            {"app": {"lib/locale/C.utf8/LC_CTYPE": "A"}},
            "locales",
            "app/lib/locale",
            id="but in a named output it counts",
        ),
        pytest.param(
            {"app": {"lib/locale/C.utf8/LC_CTYPE": "A"}, "x": {"lib/locale/de_DE/LC_CTYPE": "A"}},
            "locales",
            "x/lib/locale",
            id="where there are no more locales",
        ),
        pytest.param(
            {"app": {}, "x": {"lib/locale/readme": "", "lib/locale/locale-archive": "-> gone"}},
            "locales",
            None,
            id="a directory without locales is none",
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
            ["etc/nginx/ -> a/etc/nginx", "etc/x -> a/etc/x"],
            id="a directory of one output is not entered",
        ),
        pytest.param(
            {"a": {"etc/d/x/1": ""}, "b": {"etc/d/y": ""}},
            [
                "etc/d/ -> a/etc/d",
                "etc/d/ -> b/etc/d",
                "etc/d/x/ -> a/etc/d/x",
                "etc/d/y -> b/etc/d/y",
            ],
            id="one that two outputs have is entered",
        ),
        pytest.param(
            {"a": {"etc/ssl/certs/x.crt": "", "etc/ssl/misc/y": ""}, "b": {}},
            [
                "etc/ssl/ -> a/etc/ssl",
                "etc/ssl/certs/ -> a/etc/ssl/certs",
                "etc/ssl/misc/ -> a/etc/ssl/misc",
                "etc/ssl/certs/x.crt -> a/etc/ssl/certs/x.crt",
            ],
            id="so is one that the view makes",
        ),
        pytest.param(
            {"a": {"etc": "-> @b/etc"}, "b": {"etc/x": ""}},
            ["etc/x -> a/etc/x", "etc/x -> b/etc/x"],
            id="etc itself may be a link",
        ),
        pytest.param(
            {"a": {"etc/localtime": "-> /etc/zoneinfo/UTC"}, "b": {}},
            ["etc/localtime -> a/etc/localtime"],
            id="a link to a path of the image is kept",
        ),
        pytest.param(
            {"a": {"etc/loop": "-> ."}, "b": {"etc/loop": "-> ."}},
            ["etc/loop -> a/etc/loop", "etc/loop -> b/etc/loop"],
            id="a link to a directory above is not entered",
        ),
    ],
)
def test_etc(tmp_path: Path, objects: dict[str, Files], expected: list[str]) -> None:
    found = survey(store(tmp_path, ("a", "b"), objects), str(tmp_path)).places
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
    one_file, other = survey(store(tmp_path, ("a", "b"), objects), str(tmp_path)).places
    assert (one_file.content == other.content) is same


def test_a_name_that_every_image_has_is_known_by_its_bytes(tmp_path: Path) -> None:
    closure = store(tmp_path, ("a",), {"a": {"etc/passwd": "root", "etc/motd": "hello"}})
    motd, passwd = survey(closure, str(tmp_path)).places
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
        "cannot merge the directories that several outputs have: they are more than 50000 paths"
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


FURNITURE, ENGINE = Reason.FURNITURE, Reason.OF_THE_ENGINE
MOUNTED, IN_THE_WAY = Reason.MOUNTED, Reason.IN_THE_WAY


@pytest.mark.parametrize(
    ("app", "shown", "left"),
    [
        pytest.param(
            {"srv/www/x": "", "opt": "/", "usr/local/bin/x": "", "app/x": "", "index.html": ""},
            ["app/", "index.html", "opt/", "srv/", "usr/local/"],
            {},
            id="whatever is no furniture has its place",
        ),
        pytest.param(
            {"var/lib/app/x": "", "var/www/x": "", "home/nonroot/x": "", "home/app/x": ""},
            ["home/app/", "home/nonroot/x", "var/lib/app/", "var/lib/app/x", "var/www/"],
            {},
            id="in directories that every root has it is one level down",
        ),
        pytest.param(
            {
                **dict.fromkeys(("share/x", "lib/x", "libexec/x", "include/x"), ""),
                **dict.fromkeys(("man", "info", "doc"), "/"),
                **dict.fromkeys(("README.md", "license", "COPYING", ".x"), ""),
                "lib64": "-> lib",
                "nix-support/x": "",
                "usr/share/x": "",
                "usr/lib/x": "",
            },
            [],
            dict.fromkeys(
                [
                    *(".x", "COPYING", "README.md", "doc", "include", "info", "lib", "lib64"),
                    *("libexec", "license", "man", "nix-support", "share", "usr/lib", "usr/share"),
                ],
                FURNITURE,
            ),
            id="the furniture of packages has none",
        ),
        pytest.param(
            {"bin/app": "x:", "sbin": "-> bin", "usr/bin": "-> ../bin", "usr/sbin/d": "x:"},
            [],
            {},
            id="directories of programs are none of these",
        ),
        pytest.param(
            {"etc/hosts": "", "etc/mtab": "-> /proc/mounts", "etc/d/hosts": "", "etc/app": ""},
            ["etc/app", "etc/d/"],
            {"etc/hosts": ENGINE, "etc/mtab": ENGINE},
            id="what engines lay their own over",
        ),
        pytest.param(
            {
                f"{name}/x": ""
                for name in ("dev", "proc", "run", "sys", "tmp", "var/tmp", "var/run")
            },
            [],
            dict.fromkeys(("dev", "proc", "run", "sys", "tmp", "var/run", "var/tmp"), MOUNTED),
            id="what is mounted over",
        ),
        pytest.param(
            {"nix/var/x": "", "var": "", "srv": "-> /srv", "etc/ssl": "-> /etc/ssl/certs"},
            [],
            dict.fromkeys(("nix", "srv", "var", "etc/ssl"), IN_THE_WAY),
            id="the store, files in place of directories, and circles",
        ),
        pytest.param("x:#!", [], {}, id="an output that is a file"),
    ],
)
def test_what_the_root_shows_of_an_output(
    tmp_path: Path, app: Files | str, shown: list[str], left: dict[str, Reason]
) -> None:
    found = survey(store(tmp_path, ("app",), {"app": app}), str(tmp_path))
    names = [each.name.decode() + "/" * each.directory for each in found.places]
    assert sorted(names) == shown
    told = found.left_out[0].names if found.left_out else {}
    assert {name.decode(): reason for name, reason in told.items()} == left


@pytest.mark.parametrize(
    ("app", "is_package"),
    [
        pytest.param({"bin/app": "x:", "share/x": ""}, True, id="a program"),
        pytest.param({"etc/app": "", "share/x": ""}, True, id="a configuration"),
        pytest.param({"share/zoneinfo/UTC": ""}, True, id="time zones, which are shown"),
        pytest.param({"share/x": ""}, False, id="furniture alone"),
        pytest.param({"bin/app": "x:", "share/x": "", "srv/x": ""}, False, id="a root of its own"),
    ],
)
def test_of_a_package_nobody_looks_for_its_furniture(
    tmp_path: Path, app: Files, *, is_package: bool
) -> None:
    (left,) = survey(store(tmp_path, ("app",), {"app": app}), str(tmp_path)).left_out
    assert left.is_package is is_package


def test_of_the_same_path_the_lower_priority_comes_first(tmp_path: Path) -> None:
    objects = {name: {"bin/x": f"x:{name}", "etc/services": name} for name in ("a", "b")}
    closure = store(tmp_path, ("a", "b"), objects)
    found = survey(closure, str(tmp_path), priorities={path_of("b"): 4})
    assert targets(found.programs) == ["x -> b/bin/x", "x -> a/bin/x"]
    assert [each.priority for each in found.programs] == [4, 5]
    assert one(found.services) == "b/etc/services"


def test_what_only_a_path_behind_an_output_has_is_not_told(tmp_path: Path) -> None:
    closure = store(tmp_path, ("app",), {"app": {"bin/app": "x:"}, "lib": {"srv/x": ""}})
    assert survey(closure, str(tmp_path)).left_out == ()
