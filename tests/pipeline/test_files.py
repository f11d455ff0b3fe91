"""`files` of nix2oci.yaml: files, directories and links of the last layer."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.bases import base
from support.fakenix import DRV, OUT
from support.fakestore import Link, Node, Program, nar, sri, write
from support.smallimage import SmallImage, directory, entry, link
from support.terminal import APP, Terminal, infos

from nix2oci.oci.validate.check_image import validate_layout

ETC: Node = {
    b"bin": {b"app": Program(b"\x7fELF")},
    b"etc": {b"app": {b"app.conf": b"theirs", b"other.conf": b"other"}, b"motd": b"hello"},
}
USERS = "users: [{name: shop, uid: 1000, gid: 100}]\n"


def terminal_of(tmp_path: Path, files: str, app: Node = APP) -> Terminal:
    terminal = Terminal.make(tmp_path, app)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(files)
    return terminal


def listed(terminal: Terminal, *flags: str) -> dict[str, str]:
    """What an image has: by path, `mode uid:gid content`, of a link its target."""
    done = terminal.run("build", ".#app", "-o", "../x", *flags)
    assert done.returncode == 0, done.stderr
    assert [str(finding) for finding in validate_layout(str(terminal.directory / "../x"))] == []
    assert terminal.run("export", "../x", "-o", "../x.tar").returncode == 0
    found = {}
    with tarfile.open(fileobj=io.BytesIO((terminal.directory / "../x.tar").read_bytes())) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            what = file.read().decode("latin-1") if file else "dir" if member.isdir() else ""
            said = f"{member.mode:04o} {member.uid}:{member.gid} {what}"
            name = "/" + member.name.removeprefix("./").rstrip("/")
            found[name] = f"-> {member.linkname}" if member.issym() else said
            assert member.isdir() or member.mtime <= 1
    return found


PLACED = [
    pytest.param("/data: {directory: true}", {"/data": "0755 0:0 dir"}, id="a directory is root's"),
    pytest.param(
        '/data: {directory: true, owner: shop, mode: "0750"}',
        {"/data": "0750 1000:100 dir"},
        id="an owner's group is its own",
    ),
    pytest.param(
        '/etc/a/b: {text: "port = 80\\n", owner: "0:2000", mode: "0640"}',
        {"/etc/a/b": "0640 0:2000 port = 80\n", "/etc/a": "0755 0:0 dir"},
        id="a text with the number of a group, and a directory above it that is root's",
    ),
    pytest.param("/a: {text: ''}", {"/a": "0644 0:0 "}, id="an empty text"),
    pytest.param("/a: {text: x, owner: 77}", {"/a": "0644 77:77 x"}, id="a number nobody has"),
    pytest.param("/a: {text: x, owner: 'nobody:tty'}", {"/a": "0644 65534:5 x"}, id="two names"),
    pytest.param('/a: {text: x, mode: "4755"}', {"/a": "4755 0:0 x"}, id="setuid that is spelled"),
    pytest.param("/a: {text: x, mode: 0600}", {"/a": "0600 0:0 x"}, id="YAML text in digits"),
    pytest.param(
        "/usr/local/bin/serve: {link: /usr/bin/app}",
        {"/usr/local/bin/serve": "-> /usr/bin/app"},
        id="a link",
    ),
    pytest.param("/a: {link: ../b}\n  /c/d: {link: ../e}", None, id="one that climbs too far"),
    pytest.param("/bin/x: {text: x}", {"/usr/bin/x": "0644 0:0 x"}, id="below a link of the root"),
    pytest.param("/bin/app: {text: x}", {"/usr/bin/app": "0644 0:0 x"}, id="over a program's link"),
    pytest.param("/etc/motd: {text: x}", {"/etc/motd": "0644 0:0 x"}, id="over an output's link"),
    pytest.param("/etc/os-release: {text: x}", {"/etc/os-release": "0644 0:0 x"}, id="over ours"),
    pytest.param(
        "/home/nonroot: {directory: true, mode: '0755'}", {"/home/nonroot": "0755 0:0 dir"},
        id="a directory that is there gets the owner and mode",
    ),
    pytest.param(
        "/var/run: {directory: true, mode: '0700'}", {"/run": "0700 0:0 dir"},
        id="a directory behind a link",
    ),
    pytest.param(
        "/var/empty: {link: /tmp}", {"/var/empty": "-> /tmp"}, id="a link for an empty directory"
    ),
    pytest.param(
        "/l: {link: /d}\n  /d: {directory: true}\n  /l/x: {text: x}", {"/d/x": "0644 0:0 x"},
        id="below a link of files",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), PLACED)
def test_placed(tmp_path: Path, files: str, expected: dict[str, str] | None) -> None:
    terminal = terminal_of(tmp_path, f"{USERS}files:\n  {files}\n", ETC)
    if expected is None:
        assert terminal.run("build", ".#app", "-o", "../x").returncode == 2
        return
    found = listed(terminal)
    assert {path: found[path] for path in expected} == expected


def test_one_file_in_a_directory_of_an_output_leaves_the_others(tmp_path: Path) -> None:
    found = listed(terminal_of(tmp_path, "files: {/etc/app/app.conf: {text: ours}}", ETC))
    assert found["/etc/app/app.conf"] == "0644 0:0 ours"
    assert found["/etc/app/other.conf"].endswith("/etc/app/other.conf")


@pytest.mark.parametrize("path", ["/etc/motd", "/bin/app", "/etc/app", "/etc/nsswitch.conf"])
def test_absent_is_gone(tmp_path: Path, path: str) -> None:
    found = listed(terminal_of(tmp_path, f"files: {{{path}: {{absent: true}}}}", ETC))
    assert "/usr" + path not in found
    assert path not in found


def test_the_same_bytes_under_any_umask(tmp_path: Path) -> None:
    terminal = terminal_of(tmp_path, "files: {/a/b: {text: x}}")
    for mask in (0o022, 0o077):
        old = os.umask(mask)
        try:
            terminal.run("build", ".#app", "-o", f"../x{mask}")
        finally:
            os.umask(old)
    digests = {
        (terminal.directory / f"../x{mask}" / "index.json").read_bytes() for mask in (0o022, 0o077)
    }
    assert len(digests) == 1


# --- over a base image ----------------------------------------------------------------------


def over(*entries: tuple[tarfile.TarInfo, bytes]) -> SmallImage:
    return base(*entries)


def test_over_a_base_an_entry_replaces_and_a_name_of_the_base_is_an_owner(tmp_path: Path) -> None:
    terminal = terminal_of(
        tmp_path,
        "base: ./base.oci:1.0\nfiles:\n  /srv/a: {text: ours, owner: www}\n  /srv/l: {text: new}\n",
    )
    base(
        directory("srv", 0o1770),
        directory("etc"),
        entry("srv/a", b"theirs"),
        entry("srv/l", type=tarfile.SYMTYPE, linkname="a"),
        entry("etc/passwd", b"www:x:33:34::/srv:/bin/sh\n", mode=0o644),
    ).write(terminal.directory / "base.oci")
    found = listed(terminal)
    assert found["/srv/a"] == "0644 33:34 ours"
    assert found["/srv/l"] == "0644 0:0 new"
    assert found["/srv"] == "1770 0:0 dir"


@pytest.mark.parametrize(
    ("path", "others"),
    [
        pytest.param("/etc/motd", ["/etc/issue"], id="a file"),
        pytest.param("/l", ["/etc/motd"], id="a link, and not what it leads to"),
        pytest.param("/by/motd", ["/by", "/etc/issue"], id="a file behind a link"),
        pytest.param("/srv", ["/etc/motd"], id="a directory, with all that is in it"),
        pytest.param("/etc/app.conf", ["/etc/motd"], id="what an output has over it"),
    ],
)
def test_what_the_base_has_is_absent(tmp_path: Path, path: str, others: list[str]) -> None:
    app: Node = {**APP, b"etc": {b"app.conf": b"ours"}}
    terminal = terminal_of(
        tmp_path, f"base: ./base.oci:1.0\nfiles: {{{path}: {{absent: true}}}}", app
    )
    base(
        *(
            directory("etc"),
            *(entry(f"etc/{name}", b"x") for name in ("motd", "issue", "app.conf")),
        ),
        *(link("l", "etc/motd"), link("by", "etc")),
        *(directory("srv", 0o700), directory("srv/d"), entry("srv/d/x", b"")),
    ).write(terminal.directory / "base.oci")
    found = listed(terminal)
    real = path.replace("/by/", "/etc/")
    assert not [name for name in found if f"{name}/".startswith(f"{real}/")]
    assert found.keys() >= set(others)


def test_in_a_directory_of_the_base_that_is_absent_there_may_be_others(tmp_path: Path) -> None:
    settings = "base: ./base.oci:1.0\nfiles: {/srv: {absent: true}, /srv/new: {text: x}}"
    terminal = terminal_of(tmp_path, settings)
    base(directory("srv", 0o700), entry("srv/x", b"")).write(terminal.directory / "base.oci")
    found = listed(terminal)
    assert below(found, "/srv") == {"/srv": "0755 0:0 dir", "/srv/new": "0644 0:0 x"}


def test_a_program_of_the_base_that_is_absent_cannot_be_started(tmp_path: Path) -> None:
    settings = "base: ./base.oci:1.0\nentrypoint: /opt/run\nfiles: {/opt: {absent: true}}"
    terminal = terminal_of(tmp_path, settings)
    base(directory("opt"), entry("opt/run", b"\x7fELF")).write(terminal.directory / "base.oci")
    done = terminal.run("build", ".#app", "-o", "../x")
    assert done.returncode == 2
    assert "cannot use entrypoint /opt/run: it is not in the image" in done.stderr


@pytest.mark.parametrize("path", ["/run/x", "/tmp/d/x", "/var/tmp/x", "/var/run/x"])
def test_what_may_be_mounted_over_is_a_warning(tmp_path: Path, path: str) -> None:
    terminal = terminal_of(tmp_path, f"files: {{{path}: {{text: x}}}}")
    done = terminal.run("build", ".#app", "-o", "../x")
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "warning:" in line]
    over = path.rpartition("/")[0].removesuffix("/d").replace("/var/run", "/run")
    assert f"./nix2oci.yaml:1: files.{path}: it is below {over}, over which" in warning


# --- what cannot be meant -------------------------------------------------------------------

STORE = "nothing can be put in or above the store, and "
REFUSED = [
    pytest.param("/a: {}", "./a: expected one of directory, text", id="nothing"),
    pytest.param("/a: {text: x, link: y}", "got 'text' and 'link'", id="two things"),
    pytest.param("/a: {text: x, mode: 640}", 'write it in quotes: mode: "0640"', id="a number"),
    pytest.param("/a: {text: x, mode: rw}", 'octal digits such as "0644", got', id="no mode"),
    pytest.param("/a: {text: x, mode: '0888'}", "octal digits", id="no octal digits"),
    pytest.param("/a: {text: x, owner: who}", "nobody knows the owner 'who'", id="an owner"),
    pytest.param("/a: {text: x, owner: '0:who'}", "nobody knows the owner '0:who'", id="a group"),
    pytest.param("/a: {text: x, owner: 'a b'}", "expected an owner such as shop", id="a space"),
    pytest.param("a: {text: x}", "expected an absolute path, got 'a'", id="a relative path"),
    pytest.param("/a/../b: {text: x}", "write '/b'", id="no shortest form"),
    pytest.param("/: {directory: true}", "can only be a source", id="the root"),
    pytest.param("/a: {text: x}\n  /a: {text: x}", "the key '/a' is there twice", id="twice"),
    pytest.param(
        "/bin/x: {text: x}\n  /usr/bin/x: {text: x}", "/usr/bin/x is there twice", id="by a link"
    ),
    pytest.param("/nix/store: {directory: true}", f"{STORE}/nix/store is", id="the store"),
    pytest.param("/nix: {directory: true}", f"{STORE}/nix is", id="above the store"),
    pytest.param("/nix/store/x: {text: x}", f"{STORE}/nix/store/x is", id="in the store"),
    pytest.param("/l: {link: /nix}\n  /l/store: {text: x}", "/l/store leads", id="behind a link"),
    pytest.param("/nix: {absent: true}", f"{STORE}/nix is", id="the store absent"),
    pytest.param("/a: {link: ../../b}", "leaves the image", id="a link out"),
    pytest.param("/proc/x: {text: x}", "engine mounts over /proc", id="below /proc"),
    pytest.param("/dev: {directory: true}", "engine mounts over /dev", id="/dev itself"),
    pytest.param(
        "/l: {link: /sys}\n  /l/x: {text: x}", "engine mounts over /sys", id="below /sys by a link"
    ),
    pytest.param("/x/y: {absent: true}", "there is nothing at this path", id="absent of nothing"),
    pytest.param("/etc: {text: x}", "/etc is a directory of the image", id="a directory there"),
    pytest.param("/etc/passwd/x: {text: x}", "/etc/passwd is a file", id="below a file"),
    pytest.param("/a: {link: /b, mode: '0644'}", "'mode' has no meaning", id="a link's mode"),
    pytest.param("/a: {txt: x}", "did you mean 'text'?", id="an unknown key"),
    pytest.param(f"/a/{'b' * 256}: {{text: x}}", "longer than 255 bytes", id="a long name"),
    pytest.param("/a: {link: /b/../../c}", "leaves the image", id="an absolute link out"),
    pytest.param("/a/.wh.b: {text: x}", "mark deletions", id="a whiteout"),
    pytest.param("/l: {link: /l}\n  /l/x: {text: x}", "in circles", id="circles"),
]


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_refused_with_the_line(tmp_path: Path, files: str, message: str) -> None:
    terminal = terminal_of(tmp_path, f"# a comment\nfiles:\n  {files}\n")
    done = terminal.run("build", ".#app", "-o", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert message.removeprefix(".") in done.stderr
    assert "nix2oci.yaml:3" in done.stderr or "nix2oci.yaml:4" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (terminal.directory / "../x").exists()


# --- sources of the repository --------------------------------------------------------------

SOURCE = "/nix/store/00000000000000000000000000000009-source"


def in_git(scratch: Path, files: str, untracked: str = "") -> Terminal:
    """A flake in git, whose source, as Nix has it in the store, lacks what is not tracked."""
    terminal = Terminal.make(scratch)
    metadata = {"path": SOURCE, "resolved": {}, "locks": {"nodes": {"root": {}}, "root": "root"}}
    terminal.fake.answer("flake metadata", json.dumps(metadata))
    terminal.fake.nix()
    here, source = terminal.directory, terminal.fake.place(SOURCE)
    source.unlink()
    for root in (here, source):
        (root / "public" / "deep").mkdir(parents=True)
        (root / "public" / "index.html").write_text("hello")
        (root / "public" / "deep" / "run").write_text("#!")
        (root / "public" / "deep" / "run").chmod(0o755)
        (root / "public" / "to").symlink_to("index.html")
        (root / "out").symlink_to("/etc")
        (root / "flake.nix").write_text("{}")
    (here / ".git").mkdir()
    if untracked:
        (here / untracked).write_text("x")
    (here / "nix2oci.yaml").write_text(f"files:\n  {files}\n")
    return terminal


def below(found: dict[str, str], top: str) -> dict[str, str]:
    return {path: said for path, said in found.items() if f"{path}/".startswith(f"{top}/")}


TREE = {
    "/srv/www": "0755 0:0 dir",
    "/srv/www/deep": "0755 0:0 dir",
    "/srv/www/deep/run": "0755 0:0 #!",
    "/srv/www/index.html": "0644 0:0 hello",
    "/srv/www/to": "-> index.html",
}


def test_a_directory_of_the_repository_is_what_git_tracks(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "/srv/www: {source: ./public}", untracked="public/new")
    assert below(listed(terminal), "/srv/www") == TREE


def test_a_mode_is_that_of_files_and_of_directories_with_x_for_r(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, '/srv/www: {source: ./public, mode: "0640", owner: "7:8"}')
    found = listed(terminal)
    assert found["/srv/www/deep"] == "0750 7:8 dir"
    assert found["/srv/www/deep/run"] == "0640 7:8 #!"


def test_one_file(tmp_path: Path) -> None:
    found = listed(in_git(tmp_path, "/etc/x: {source: public/index.html}"))
    assert found["/etc/x"] == "0644 0:0 hello"


def test_a_directory_of_a_source_has_the_owner_that_another_entry_says(tmp_path: Path) -> None:
    entry = "/srv/www/deep: {directory: true, owner: '7:8', mode: '0700'}"
    found = listed(in_git(tmp_path, f"/srv/www: {{source: ./public}}\n  {entry}"))
    assert found["/srv/www/deep"] == "0700 7:8 dir"
    assert found["/srv/www/deep/run"] == "0755 0:0 #!"


def test_a_tree_at_the_root_merges_with_what_is_there(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "/: {source: public}")
    directory_there = Path(f"{terminal.fake.root}{SOURCE}/public/bin")
    directory_there.mkdir()
    (directory_there / "x").write_text("x")
    found = listed(terminal)
    assert found["/usr/bin/x"] == "0644 0:0 x"
    assert found["/bin"] == "-> usr/bin"
    assert found["/usr/bin/app"].startswith("-> ")


def test_the_flag_is_taken_from_the_working_directory(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "/etc/x: {text: the file's}")
    found = listed(terminal, "--files", "/srv/www=public", "--files", "/etc/x=public/index.html")
    assert below(found, "/srv/www") == TREE
    assert found["/etc/x"] == "0644 0:0 hello"


def test_a_flake_that_was_fetched_has_its_own(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "")
    source = Path(f"{terminal.fake.root}{SOURCE}")
    (source / "nix2oci.yaml").write_text("files: {/srv/www: {source: public}}\n")
    done = terminal.run("build", "github:o/r#app", "-o", "../x")
    assert done.returncode == 0, done.stderr
    listing = terminal.run("ls", "../x", "/srv/www/deep").stdout
    assert "run" in listing
    (source / "nix2oci.yaml").write_text("files: {/srv/www: {source: ../..}}\n")
    done = terminal.run("build", "github:o/r#app", "-o", "../y")
    assert (done.returncode, "is not in" in done.stderr) == (2, True)


def test_without_a_flake_it_is_the_directory_without_git(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "/srv/www: {source: .}", untracked=".git/HEAD")
    (terminal.directory / "default.nix").write_text("{}")
    done = terminal.run("build", "-f", "default.nix", "-o", "../x")
    assert done.returncode == 0, done.stderr
    assert terminal.run("export", "../x", "-o", "../x.tar").returncode == 0
    with tarfile.open(terminal.directory / "../x.tar") as tar:
        names = {name for name in tar.getnames() if name.startswith("srv/www/")}
    assert "srv/www/default.nix" in names
    assert not [name for name in names if ".git" in name]


def test_the_image_is_not_written_into_a_source(tmp_path: Path) -> None:
    terminal = in_git(tmp_path, "/srv/www: {source: .}")
    (terminal.directory / "default.nix").write_text("{}")
    done = terminal.run("build", "-f", "default.nix", "-o", "x")
    assert done.returncode == 2
    assert "as a part of the source of /srv/www" in done.stderr


NOT_OF_IT = [
    pytest.param("/a: {source: /etc/passwd}", "is an absolute path", id="absolute"),
    pytest.param("/a: {source: ../x}", "is not in", id="above"),
    pytest.param("/a: {source: out}", "is a link that leads out of", id="a link"),
    pytest.param("/a: {source: out/passwd}", "is a link that leads out of", id="behind a link"),
    pytest.param("/a: {source: new}", "git add it", id="untracked"),
    pytest.param("/a: {source: nothing}", "there is no", id="not there"),
    pytest.param("/a: {source: ''}", "the text is empty", id="empty"),
    pytest.param("/a: {source: public, path: x}", "'path' is for a source that", id="path"),
    pytest.param(
        "/a: {source: public}\n  /a/to: {text: x}", "/a/to is there twice", id="twice, in a tree"
    ),
]


@pytest.mark.parametrize(("files", "message"), NOT_OF_IT)
def test_a_source_that_is_refused(tmp_path: Path, files: str, message: str) -> None:
    terminal = in_git(tmp_path, files, untracked="new")
    done = terminal.run("build", ".#app", "-o", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "nix2oci.yaml:2: files." in done.stderr or "nix2oci.yaml:3: files." in done.stderr
    assert not (terminal.directory / "../x").exists()


# --- installables ---------------------------------------------------------------------------

TOOL = "/nix/store/00000000000000000000000000000008-tool"
TOOL_NODE: Node = {
    b"bin": {b"tool": Program(b"\x7fELF")},
    b"share": {
        b"tool": {
            b"run": Program(b"run"),
            b"text": b"text",
            b"near": Link(b"text"),
            b"far": Link(b"../other"),
            b"whole": Link(f"{TOOL}/share/other".encode()),
        },
        b"other": b"other",
    },
}


def with_tool(scratch: Path, settings: str) -> Terminal:
    """A flake, and beside its package a store path that settings may name."""
    terminal = Terminal.make(scratch)
    fake = terminal.fake
    made = [{"drvPath": DRV, "outputs": {"out": OUT}}, TOOL]
    fake.answer("build --json", json.dumps(made))
    known = infos(APP)
    known[TOOL] = {**known[OUT], "narHash": sri(TOOL_NODE), "narSize": len(nar(TOOL_NODE))}
    del fake.rules[0]
    fake.answer(f"{OUT} {TOOL}", json.dumps(known))
    fake.answer("path-info", json.dumps(infos(APP)))
    fake.nix()
    place = fake.place(TOOL)
    place.unlink()
    write(os.fsencode(place), TOOL_NODE)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(settings)
    return terminal


def test_an_installable_is_linked_and_its_programs_are_not_in_the_view(tmp_path: Path) -> None:
    entry = f"{{source: {TOOL}, path: share/tool}}"
    found = listed(
        with_tool(tmp_path, f"files: {{/opt/tool: {entry}, /opt/all: {{source: {TOOL}}}}}")
    )
    assert found["/opt/tool"] == f"-> {TOOL}/share/tool"
    assert found["/opt/all"] == f"-> {TOOL}"
    assert found[f"{TOOL}/share/tool/text"].endswith("text")
    assert "/usr/bin/tool" not in found


def test_what_is_copied_has_an_owner_and_its_links_still_lead_there(tmp_path: Path) -> None:
    settings = (
        f"files: {{/opt/tool: {{source: {TOOL}, path: share/tool, copy: true, owner: '7:8'}}}}"
    )
    assert below(listed(with_tool(tmp_path, settings)), "/opt/tool") == {
        "/opt/tool": "0755 7:8 dir",
        "/opt/tool/far": f"-> {TOOL}/share/other",
        "/opt/tool/near": "-> text",
        "/opt/tool/run": "0755 7:8 run",
        "/opt/tool/text": "0644 7:8 text",
        "/opt/tool/whole": f"-> {TOOL}/share/other",
    }


def config(terminal: Terminal, *flags: str) -> dict[str, Any]:
    """How an image is started."""
    done = terminal.run("build", ".#app", "-o", "../x", *flags)
    assert done.returncode == 0, done.stderr
    inspected = terminal.run("inspect", "../x", "--json")
    found: dict[str, Any] = json.loads(inspected.stdout)["config"]["config"]
    return found


VALUES = [
    pytest.param(f"{{{TOOL}}}/share/other", f"{TOOL}/share/other", id="a path"),
    pytest.param(f"{{{TOOL}}}:{{{TOOL}}}/b", f"{TOOL}:{TOOL}/b", id="two"),
    pytest.param(f"{{{{x}}}}{{{TOOL}}}", f"{{x}}{TOOL}", id="doubled braces beside one"),
    pytest.param(f"{{x}}{{{TOOL}}}", f"{{x}}{TOOL}", id="other braces beside one"),
    pytest.param("{x}{{y}} } {", "{x}{{y}} } {", id="text to the byte"),
    pytest.param("{{a#b}}", "{a#b}", id="a literal brace that holds a sharp"),
    pytest.param(TOOL, TOOL, id="a store path without braces"),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_values_name_paths_of_installables(tmp_path: Path, value: str, expected: str) -> None:
    needed = f"/tool: {{source: {TOOL}}}"  # so that Nix is asked for the same in every row
    terminal = with_tool(tmp_path, "")
    (terminal.directory / "nix2oci.yaml").write_text(
        f"env: {{A: {json.dumps(value)}}}\ncmd: [{json.dumps(value)}]\nfiles: {{{needed}}}\n"
    )
    found = config(terminal)
    assert f"A={expected}" in found["Env"]
    assert found["Cmd"] == [expected]


def test_a_path_in_a_value_is_in_the_closure_and_may_be_the_program(tmp_path: Path) -> None:
    program = f'["{{{TOOL}}}/bin/tool", x]\n'
    terminal = with_tool(tmp_path, f"entrypoint: {program}healthcheck:\n  test: {program}")
    assert config(terminal)["Entrypoint"] == [f"{TOOL}/bin/tool", "x"]
    assert config(terminal)["Healthcheck"] == {"Test": ["CMD", f"{TOOL}/bin/tool", "x"]}
    assert f"{TOOL}/bin/tool" in listed(terminal)


NO_INSTALLABLE = [
    pytest.param('env: {A: \'{"color":"#fff"}\'}', "nix2oci.yaml:1: env.A:", id="JSON in env"),
    pytest.param("\ncmd: ['{ #a}']", "nix2oci.yaml:2: cmd[0]:", id="a space in cmd"),
    pytest.param("entrypoint: ['{-#a}/x']", "nix2oci.yaml:1: entrypoint[0]:", id="a flag"),
    pytest.param(
        f"files: {{/a: {{source: {TOOL}, path: bin/none}}}}", "has no bin/none", id="no path"
    ),
    pytest.param(
        f"files: {{/a: {{source: {TOOL}, mode: '0600'}}}}", "hint: have it copied", id="a mode"
    ),
    pytest.param(f"files: {{/a: {{source: {TOOL}, path: ../x}}}}", "a path within", id="out of it"),
]


@pytest.mark.parametrize(("settings", "message"), NO_INSTALLABLE)
def test_braces_and_paths_that_are_refused(tmp_path: Path, settings: str, message: str) -> None:
    done = with_tool(tmp_path, settings).run("build", ".#app", "-o", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "nix2oci.yaml:" in done.stderr
    assert "#fff" not in done.stderr


# --- env-file -------------------------------------------------------------------------------


def with_env_file(scratch: Path, content: str, settings: str = "env-file: app.env") -> Terminal:
    terminal = in_git(scratch, "/a: {text: x}")
    for root in (terminal.directory, Path(f"{terminal.fake.root}{SOURCE}")):
        (root / "app.env").write_text(content, newline="")
    (terminal.directory / "nix2oci.yaml").write_text(settings)
    return terminal


def test_env_file_is_below_env_and_text_to_the_byte(tmp_path: Path) -> None:
    content = "# a comment\r\n\r\nA=1\nB={a#b} 'x' $HOME \nC=\nD=x=y\n"
    terminal = with_env_file(tmp_path, content, "env-file: ./app.env\nenv: {A: 2}\n")
    env = config(terminal)["Env"]
    assert {"A=2", "B={a#b} 'x' $HOME ", "C=", "D=x=y"} <= set(env)
    (terminal.directory / "nix2oci.yaml").write_text("")
    assert "A=1" in config(terminal, "--env-file", "app.env")["Env"]


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        pytest.param(
            "A=1\nB", "env-file: app.env", "line 2 of the file is not NAME", id="no value"
        ),
        pytest.param("=secret", "env-file: app.env", "line 1 of the file is not", id="no name"),
        pytest.param("A=1\nA=2", "env-file: app.env", "is there already: 'A'", id="twice"),
        pytest.param("", "env-file: ../app.env", "is not in", id="above"),
        pytest.param("", "env-file: /etc/passwd", "is an absolute path", id="absolute"),
        pytest.param("", "env-file: out/passwd", "is a link that leads out", id="a link"),
    ],
)
def test_an_env_file_that_is_refused(
    tmp_path: Path, content: str, settings: str, message: str
) -> None:
    done = with_env_file(tmp_path, content, settings).run("build", ".#app", "-o", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "nix2oci.yaml:1: env-file" in done.stderr
    assert "secret" not in done.stderr
