"""`ls`, `cat` and `export`: looking into an image without unpacking or running it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.json_page import documented
from support.pushing import REPOSITORY, stored
from support.smallimage import (
    Entry,
    Layer,
    SmallImage,
    digest_of,
    directory,
    entry,
    link,
    tar,
    write_index,
)
from support.terminal import Completed, Terminal, on_pty

PASSWD = b"root:x:0:0::/root:/bin/sh\nwww:x:33:33::/srv:/bin/sh\nother:x:33:1::/:/\nnonsense\n"
GROUP = b"root:x:0:\nstaff:x:50:www\n"


def text(name: str, content: str, mode: int = 0o644, **fields: Any) -> Entry:
    return entry(name, content.encode(), mode=mode, **fields)


def hard_link(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


BOTTOM = Layer(
    tar(
        link("bin", "usr/bin"),
        directory("etc"),
        entry("etc/passwd", PASSWD, mode=0o644),
        entry("etc/group", GROUP, mode=0o644),
        directory("opt"),
        text("opt/hidden", "hidden"),
        directory("srv", 0o1770),
        text("srv/changed", "old"),
        text("srv/deleted", "deleted"),
        text("srv/owned", "owned", 0o6754, uid=33, gid=50),
        text("srv/strange", "strange", 0o4600, uid=12345, gid=67890),
        entry("srv/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        entry("srv/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=17, mode=0o660),
        entry("srv/pipe", type=tarfile.FIFOTYPE, mode=0o600),
        directory("usr"),
        directory("usr/bin"),
        text("usr/bin/tool", "#!tool\n", 0o755),
        hard_link("usr/bin/same", "usr/bin/tool"),
    )
)
MIDDLE = Layer(
    tar(
        directory("srv", 0o1770),
        text("srv/.wh.deleted", ""),
        text("srv/changed", "new"),
        directory("links"),
        link("links/up", "../../../etc"),
        link("links/absolute", "/links/up/passwd"),
        link("links/to-link", "absolute"),
        link("links/broken", "/nowhere/at/all"),
        link("links/circle", "circle"),
        hard_link("links/hard", "usr/bin/tool"),
    )
)
TOP = Layer(
    tar(
        directory("opt", 0o711),
        text("opt/.wh..wh..opq", ""),
        text("opt/top", "on top\n"),
        directory("new"),
        directory("new/empty"),
    )
)
LAYERS = (BOTTOM, MIDDLE, TOP)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal.make(tmp_path)
    SmallImage(layers=LAYERS).write(made.directory / "image")
    return made


def bytes_of(terminal: Terminal, *args: str) -> tuple[int, bytes, str]:
    """The exit code, stdout as bytes, and stderr."""
    done = subprocess.run(
        terminal.argv(*args),
        cwd=terminal.directory,
        env=terminal.env(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def blob(layer: Layer) -> str:
    """The digest of a layer's blob."""
    return digest_of(layer.pack(layer.plain))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(
            "",
            """\
            lrwxrwxrwx root:root 7 /bin -> usr/bin
            drwxr-xr-x root:root 0 /etc
            drwxr-xr-x root:root 0 /links
            drwxr-xr-x root:root 0 /new
            drwx--x--x root:root 0 /opt
            drwxrwx--T root:root 0 /srv
            drwxr-xr-x root:root 0 /usr""",
            id="the root, without a path",
        ),
        pytest.param(
            "/srv",
            """\
            -rw-r--r-- root:root       3 /srv/changed
            brw-rw---- root:root   8, 17 /srv/disk
            crw-rw-rw- root:root    1, 3 /srv/null
            -rwsr-sr-- www:staff       5 /srv/owned
            prw------- root:root       0 /srv/pipe
            -rwS------ 12345:67890     7 /srv/strange""",
            id="a directory: every kind of file, names of owners, and not what was deleted",
        ),
        pytest.param("opt/", "-rw-r--r-- root:root 7 /opt/top", id="a directory that was emptied"),
        pytest.param("/new/empty", "", id="an empty directory"),
        pytest.param("/bin", "lrwxrwxrwx root:root 7 /bin -> usr/bin", id="a link is shown itself"),
        pytest.param(
            "/bin/",
            """\
            -rwxr-xr-x root:root 7 /usr/bin/same
            -rwxr-xr-x root:root 7 /usr/bin/tool""",
            id="a link with a slash behind it is followed",
        ),
        pytest.param(
            "/links/up/../bin/tool",
            "-rwxr-xr-x root:root 7 /usr/bin/tool",
            id="links and .. in the middle are followed within the image",
        ),
        pytest.param(
            "/links/broken",
            "lrwxrwxrwx root:root 15 /links/broken -> /nowhere/at/all",
            id="a link to nothing",
        ),
    ],
)
def test_ls_shows_what_is_there(path: str, expected: str, terminal: Terminal) -> None:
    done = terminal.run("ls", "image", *filter(None, [path]))
    lines = "".join(f"{line.strip()}\n" for line in expected.splitlines())
    assert (done.returncode, done.stderr) == (0, "")
    assert squeezed(done.stdout) == squeezed(lines)


def squeezed(text: str) -> list[list[str]]:
    """Lines without how columns are aligned."""
    return [line.split() for line in text.splitlines()]


def test_ls_aligns_its_columns(terminal: Terminal) -> None:
    lines = terminal.run("ls", "image", "/srv").stdout.splitlines()
    assert lines[3:] == [
        "-rwsr-sr-- www:staff       5 /srv/owned",
        "prw------- root:root       0 /srv/pipe",
        "-rwS------ 12345:67890     7 /srv/strange",
    ]


def test_ls_has_all_of_it_for_machines(terminal: Terminal) -> None:
    done = terminal.run("ls", "--json", "image", "/srv")
    document = json.loads(done.stdout)
    assert set(document) == documented("ls", 0)
    assert all(set(file) == documented("ls", 1) for file in document["files"])
    found = {file["path"]: file for file in document["files"]}
    assert found["/srv/owned"] == {
        "path": "/srv/owned",
        "type": "file",
        "mode": "6754",
        "uid": 33,
        "gid": 50,
        "user": "www",
        "group": "staff",
        "size": 5,
        "mtime": 1,
        "target": None,
        "device": None,
        "layer": blob(BOTTOM),
    }
    assert found["/srv/disk"]["device"] == [8, 17]
    assert found["/srv/strange"]["user"] is None
    assert found["/srv/changed"]["layer"] == blob(MIDDLE)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/opt/top", b"on top\n", id="in the topmost layer"),
        pytest.param("srv/owned", b"owned", id="in the base layer, without a slash"),
        pytest.param("/srv/changed", b"new", id="in two layers: the upper one counts"),
        pytest.param("/usr/bin/same", b"#!tool\n", id="a hard link"),
        pytest.param("/links/hard", b"#!tool\n", id="a hard link to a file of a lower layer"),
        pytest.param("/links/up/group", GROUP, id="through a link that would leave the image"),
        pytest.param("/links/to-link", PASSWD, id="a link to a link to a file through a link"),
        pytest.param("/../links/./up//passwd", PASSWD, id="a path that is not in its normal form"),
    ],
)
def test_cat_prints_the_bytes(path: str, expected: bytes, terminal: Terminal) -> None:
    assert bytes_of(terminal, "cat", "image", path) == (0, expected, "")


@pytest.mark.parametrize(
    ("command", "path", "error", "hint"),
    [
        pytest.param(
            "ls", "/srv/deleted", "list /srv/deleted of image: it is not in the image",
            "see: nix2oci ls image /srv", id="a file that a layer deletes",
        ),
        pytest.param(
            "cat", "/opt/hidden", "read /opt/hidden of image: it is not in the image",
            "see: nix2oci ls image /opt", id="a file in a directory that a layer emptied",
        ),
        pytest.param(
            "cat", "/srv/owned/x", "read /srv/owned/x of image: it is not in the image",
            "see: nix2oci ls image /srv", id="below a file",
        ),
        pytest.param(
            "cat", "/links/broken",
            "read /links/broken of image: it leads to /nowhere, which is not in the image",
            "see: nix2oci ls image /", id="a link to nothing",
        ),
        pytest.param(
            "cat", "/links/circle", "read /links/circle of image: links lead in circles there",
            None, id="a circle",
        ),
        pytest.param(
            "cat", "/srv", "read /srv of image: it is a directory", "see: nix2oci ls image /srv",
            id="the content of a directory",
        ),
        pytest.param(
            "cat", "/srv/null", "read /srv/null of image: it is no regular file",
            "see: nix2oci ls image /srv/null", id="the content of a device",
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_error_with_a_way_out(
    command: str, path: str, error: str, hint: str | None, terminal: Terminal
) -> None:
    done = terminal.run(command, "image", path)
    hints = [f"hint: {hint}"] if hint else []
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"error: cannot {error}", *hints]


# --- which layers are read -----------------------------------------------------------------------


@pytest.fixture
def registry(terminal: Terminal) -> Iterator[FakeRegistry]:
    with running(FakeRegistry()) as made:
        stored(terminal.directory / "image", made, "1.0")
        made.seen.clear()
        yield made


def read_layers(registry: FakeRegistry) -> list[str]:
    """Which of the layers were asked for, by their place from the bottom, in that order."""
    names = {blob(layer): name for layer, name in zip(LAYERS, ("0", "1", "2"), strict=True)}
    asked = [call.rpartition("/")[2] for call in registry.calls("GET", "/blobs/")]
    return [names[digest] for digest in asked if digest in names]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(("cat", "/opt/top"), ["2"], id="a file in the topmost layer: that alone"),
        pytest.param(("cat", "/opt/hidden"), ["2"], id="nothing, as the topmost layer says"),
        pytest.param(("cat", "/srv/changed"), ["2", "1"], id="a file further down"),
        pytest.param(("cat", "/srv/owned"), ["2", "1", "0"], id="a file in the base layer"),
        pytest.param(("ls", "/opt"), ["2", "1", "0"], id="owners have names in the base layer"),
    ],
)
def test_no_layer_is_fetched_that_is_not_needed(
    args: Sequence[str], expected: list[str], terminal: Terminal, registry: FakeRegistry
) -> None:
    command, *path = args
    name = f"{registry.registry}/{REPOSITORY}:1.0"
    code, here, _ = bytes_of(terminal, command, "image", *path)
    again, there, said = bytes_of(terminal, command, name, *path)
    assert (again, there) == (code, here)
    assert read_layers(registry) == expected
    assert said.count("nix2oci: fetching layer sha256:") == len(expected)


def test_an_export_fetches_each_layer_once(terminal: Terminal, registry: FakeRegistry) -> None:
    expected = bytes_of(terminal, "export", "image")[1]
    name = f"{registry.registry}/{REPOSITORY}:1.0"
    code, data, said = bytes_of(terminal, "export", name)
    assert (code, data) == (0, expected)
    assert sorted(read_layers(registry)) == ["0", "1", "2"]
    assert said.startswith(f"nix2oci: fetching {name} (")


def test_what_was_fetched_is_gone_afterwards(terminal: Terminal, registry: FakeRegistry) -> None:
    scratch = terminal.directory / "scratch"
    scratch.mkdir()
    for args in (("cat", "/opt/top"), ("export",)):
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        done = terminal.run(args[0], name, *args[1:], "-q", TMPDIR=str(scratch))
        assert (done.returncode, done.stderr) == (0, "")
        assert list(scratch.iterdir()) == []


def test_a_layer_that_is_not_needed_may_be_missing(terminal: Terminal) -> None:
    for layer in (BOTTOM, MIDDLE):
        (terminal.directory / "image/blobs/sha256" / blob(layer)[7:]).unlink()
    assert bytes_of(terminal, "cat", "image", "/opt/top") == (0, b"on top\n", "")
    done = terminal.run("cat", "image", "/srv/owned")
    assert (done.returncode, done.stdout) == (8, "")
    assert blob(MIDDLE) in done.stderr


# --- every way to name an image ------------------------------------------------------------------


def archived(directory: Path) -> None:
    with tarfile.open(directory / "image.tar", "w") as file:
        file.add(directory / "image", ".")


def saved(directory: Path) -> None:
    """As docker save wrote it before version 25."""
    config = {"rootfs": {"type": "layers", "diff_ids": [digest_of(x.plain) for x in LAYERS]}}
    files = {f"{n}/layer.tar": layer.plain for n, layer in enumerate(LAYERS)}
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": list(files)}]
    files |= {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(directory / "saved.tar", "w") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    "name",
    [
        *("image", "image:1.0", "oci:image:1.0", "image.tar", "oci-archive:image.tar:1.0"),
        *("saved.tar", "docker-archive:saved.tar:1"),
    ],
)
def test_an_image_has_the_names_that_inspect_takes(name: str, terminal: Terminal) -> None:
    archived(terminal.directory)
    saved(terminal.directory)
    assert bytes_of(terminal, "cat", name, "/srv/changed") == (0, b"new", "")
    assert terminal.run("ls", name, "/opt").stdout == "-rw-r--r-- root:root 7 /opt/top\n"
    code, data, _ = bytes_of(terminal, "export", name)
    assert (code, data) == (0, bytes_of(terminal, "export", "image")[1])


def test_an_index_is_read_for_the_platform_that_is_named(terminal: Terminal) -> None:
    write_index(terminal.directory)
    arm = terminal.run("ls", "index", "--platform", "linux/arm64")
    assert [line.split()[-1] for line in arm.stdout.splitlines()] == ["/bin", "/etc"]
    amd = terminal.run("ls", "index", "--platform", "linux/amd64")
    assert [line.split()[-1] for line in amd.stdout.splitlines()] == ["/bin", "/etc", "/nix"]
    for command in (("ls",), ("cat", "/etc/passwd"), ("export",)):
        done = terminal.run(command[0], "index", *command[1:], "--platform", "linux/s390x")
        assert (done.returncode, done.stdout) == (2, "")
        assert "hint: it has linux/amd64, linux/arm64" in done.stderr


# --- export --------------------------------------------------------------------------------------


def exported(terminal: Terminal) -> dict[str, tarfile.TarInfo]:
    code, data, said = bytes_of(terminal, "export", "image")
    assert (code, said) == (0, "")
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        return {member.name: member for member in file}


def test_an_export_has_every_file_that_is_left_with_all_that_is_known_of_it(
    terminal: Terminal,
) -> None:
    found = exported(terminal)
    assert sorted(found) == [
        *("bin", "etc", "etc/group", "etc/passwd"),
        *("links", "links/absolute", "links/broken", "links/circle", "links/hard"),
        *("links/to-link", "links/up", "new", "new/empty", "opt", "opt/top"),
        *("srv", "srv/changed", "srv/disk", "srv/null", "srv/owned", "srv/pipe", "srv/strange"),
        *("usr", "usr/bin", "usr/bin/same", "usr/bin/tool"),
    ]
    owned, disk = found["srv/owned"], found["srv/disk"]
    assert (owned.mode, owned.uid, owned.gid, owned.mtime) == (0o6754, 33, 50, 1)
    assert (disk.type, disk.devmajor, disk.devminor) == (tarfile.BLKTYPE, 8, 17)
    assert (found["opt"].mode, found["srv"].mode) == (0o711, 0o1770)
    links = {name: member.linkname for name, member in found.items() if member.islnk()}
    assert links == {"usr/bin/same": "links/hard", "usr/bin/tool": "links/hard"}


def test_what_an_export_links_to_comes_before(terminal: Terminal) -> None:
    names: list[str] = []
    for name, member in exported(terminal).items():
        parent = name.rpartition("/")[0]
        assert not parent or parent in names, name
        assert not member.islnk() or member.linkname in names, name
        names.append(name)


def test_an_export_keeps_times_and_attributes_to_the_byte(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    records = {
        "SCHILY.xattr.user.a": "a=b\n",
        "SCHILY.xattr.user.b": "\udcff\0",
        "mtime": "-1.25",
        "comment": "is left out",
    }
    odd = entry("odd", b"x", pax_headers=records, mtime=-1.25)
    late = entry("late", b"x", mtime=2**40)
    SmallImage(layers=(Layer(tar(odd, late)),)).write(terminal.directory / "image")
    found = exported(terminal)
    kept = {key: value for key, value in found["odd"].pax_headers.items() if key != "hdrcharset"}
    assert kept == {key: value for key, value in records.items() if key != "comment"}
    assert found["late"].mtime == 2**40


def test_an_export_is_the_same_in_a_file_and_on_stdout(terminal: Terminal) -> None:
    data = bytes_of(terminal, "export", "image")[1]
    out = terminal.directory / "out.tar"
    out.write_bytes(b"something else")
    done = terminal.run("export", "image", "-o", "out.tar")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.read_bytes() == data
    assert bytes_of(terminal, "export", "image", "-o", "-")[1] == data
    assert terminal.left() == ["image", "out.tar"]


def test_a_terminal_gets_no_tar(terminal: Terminal) -> None:
    seen = on_pty(terminal.argv("export", "image"), terminal.env(), terminal.directory)
    assert b"cannot write a tar to a terminal" in seen
    assert b"hint:" in seen
    assert b"ustar" not in seen


def test_a_terminal_gets_the_bytes_of_a_file(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    layer = Layer(tar(entry("f", b"\x1b[31m\0\xff")))
    SmallImage(layers=(layer,)).write(terminal.directory / "image")
    seen = on_pty(terminal.argv("cat", "image", "f"), terminal.env(), terminal.directory)
    assert seen == b"\x1b[31m\0\xff"


# --- what is wrong with an image -----------------------------------------------------------------


def damaged(path: Path) -> None:
    """Other content in the topmost layer, in a tar that is good."""
    path.write_bytes(TOP.pack(tar(directory("opt"), text("opt/top", "other\n"))))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


def no_tar(path: Path) -> None:
    path.write_bytes(b"no layer")


@pytest.mark.parametrize("spoil", [damaged, cut, no_tar])
@pytest.mark.parametrize(
    "args", [("ls", "image"), ("cat", "image", "/opt/top"), ("export", "image")]
)
def test_a_damaged_layer_is_an_error_and_nothing_is_printed(
    args: Sequence[str], spoil: Callable[[Path], None], terminal: Terminal
) -> None:
    spoil(terminal.directory / "image/blobs/sha256" / blob(TOP)[7:])
    done = terminal.run(*args)
    assert (done.returncode, done.stdout) == (8, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: cannot read layer {blob(TOP)} of image: ")
    assert hint == "hint: see all that is wrong with it: nix2oci validate image"


def test_a_damaged_layer_leaves_no_file(terminal: Terminal) -> None:
    damaged(terminal.directory / "image/blobs/sha256" / blob(TOP)[7:])
    assert terminal.run("export", "image", "-o", "out.tar").returncode == 8
    assert terminal.left() == ["image"]


def run_on(entries: Sequence[Entry], tmp_path: Path, *args: str) -> Completed:
    terminal = Terminal.make(tmp_path)
    SmallImage(layers=(Layer(tar(*entries)),)).write(terminal.directory / "image")
    return terminal.run(*args)


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        pytest.param([text("../x", "")], "the name ../x leads upwards", id="a name out of it"),
        pytest.param(
            [text("a", ""), text("a/b", "")], "a/b is in what is no directory", id="below a file"
        ),
        pytest.param(
            [directory("d"), hard_link("h", "d")],
            "h is a hard link to a directory",
            id="a hard link to a directory",
        ),
        pytest.param(
            [hard_link("h", "nothing")],
            "h is a hard link to what is not there",
            id="a hard link to nothing",
        ),
        pytest.param(
            [text("n" * 5000, "")], "a name has more than 4096 bytes", id="a name too long"
        ),
    ],
)
def test_names_that_no_file_system_has_are_an_error(
    entries: Sequence[Entry], cause: str, tmp_path: Path
) -> None:
    done = run_on(entries, tmp_path, "export", "image")
    assert (done.returncode, done.stdout) == (8, "")
    assert cause in done.stderr.splitlines()[0]


def test_a_file_with_holes_is_read_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    records = {"GNU.sparse.size": "9", "GNU.sparse.map": "2,2,6,1"}
    holes = entry("f", b"abc", pax_headers=records)
    SmallImage(layers=(Layer(tar(holes)),)).write(terminal.directory / "image")
    assert bytes_of(terminal, "cat", "image", "f") == (0, b"\0\0ab\0\0c\0\0", "")
    assert terminal.run("ls", "image", "f").stdout.split()[2] == "9"
    code, data, _ = bytes_of(terminal, "export", "image")
    assert code == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        content = file.extractfile("f")
        assert content is not None
        assert content.read() == b"\0\0ab\0\0c\0\0"


def test_an_unwritable_place_is_told_before_the_image_is_read(terminal: Terminal) -> None:
    done = terminal.run("export", "nothing", "-o", os.path.join("no", "such", "out.tar"))
    assert done.returncode == 8
    assert done.stderr == "error: cannot write no/such/out.tar: No such file or directory\n"
