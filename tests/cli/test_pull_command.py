"""`nix2oci pull`: an image of a registry becomes a file, byte for byte and the same each time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support import covered
from support.fakeregistry import Exchange, FakeRegistry, answer
from support.fakeserver import running
from support.json_page import documented
from support.pushing import REPOSITORY, stored
from support.smallimage import VIEW_LAYER, Layer, SmallImage, digest_of, write_index
from support.started import started
from support.terminal import NIX2OCI, Terminal

Completed = subprocess.CompletedProcess[str]
BLOB = r"/blobs/sha256:"
DOCKER = "application/vnd.docker."


@dataclass
class Shell:
    """A directory in an environment of a builder: no HOME, no nix on PATH, and a registry."""

    directory: Path
    registry: FakeRegistry
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.registry.registry}/{REPOSITORY}"

    def env(self, **more: str) -> Mapping[str, str]:
        return {"PATH": "/nowhere", "LC_ALL": "C.UTF-8", **covered.environment(), **more}

    def run(self, *args: str, **env: str) -> Completed:
        return subprocess.run(
            [NIX2OCI, *args], cwd=self.directory, env=self.env(**env),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def pulled(self, *args: str, **env: str) -> str:
        """What a pull that went well prints."""
        done = self.run("pull", *args, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def index(self, layout: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / layout / "index.json").read_text())
        return found

    def put(self, layout: Path, tag: str = "1.0") -> str:
        """Have the registry have the image of a layout; its digest."""
        digest = str(stored(layout, self.registry, tag).descriptor.digest)
        self.registry.seen.clear()
        return digest


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "here").mkdir()
    with running(FakeRegistry()) as registry:
        yield Shell(tmp_path / "here", registry)


def files(layout: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(layout)): path.read_bytes()
        for path in layout.rglob("*")
        if path.is_file()
    }


def fingerprint(path: Path) -> str:
    """All that Nix hashes of a path: names, contents, and who can execute."""
    found = sorted([path, *path.rglob("*")])
    lines = [
        f"{each.relative_to(path)} {os.access(each, os.X_OK) and each.is_file()} "
        f"{digest_of(each.read_bytes()) if each.is_file() else ''}"
        for each in found
    ]
    return digest_of("\n".join(lines).encode())


def test_every_byte_is_that_of_the_registry_and_the_tag_stays(shell: Shell, tmp_path: Path) -> None:
    image = SmallImage().write(tmp_path / "image")
    digest = shell.put(image)
    assert shell.pulled(f"{shell.name}:1.0@{digest}", "-o", "x") == "oci:x:1.0\n"
    theirs, ours = files(image), files(shell.directory / "x")
    assert {name: data for name, data in ours.items() if name.startswith("blobs/")} == {
        name: data for name, data in theirs.items() if name.startswith("blobs/")
    }
    (entry,) = shell.index("x")["manifests"]
    assert entry["digest"] == digest
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": "1.0",
        "io.containerd.image.name": f"{shell.name}:1.0",
    }
    assert shell.run("validate", "x").returncode == 0


@pytest.mark.parametrize("output", ["x.oci", "x.tar"])
@pytest.mark.parametrize("kind", ["image", "index"])
def test_the_same_digest_gives_the_same_file_by_whatever_way_it_came(
    shell: Shell, tmp_path: Path, output: str, kind: str
) -> None:
    made = write_index(tmp_path) if kind == "index" else SmallImage().write(tmp_path / "image")
    name = f"{shell.name}@{shell.put(made)}"
    ways: list[dict[str, str]] = [{}, {"HOME": "/homeless-shelter"}, {"HOME": str(tmp_path)}]
    seen = set()
    for env in (*ways, ways[-1]):
        shell.pulled(name, "-o", output, **env)
        seen.add(fingerprint(shell.directory / output))
        place = shell.directory / output
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert len(seen) == 1
    assert not Path("/homeless-shelter").exists(), "a builder's home, without which Nix builds"


def test_what_was_pulled_is_pushed_as_the_same_image(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(write_index(tmp_path))
    for output in ("x.oci", "x.tar"):
        written = shell.pulled(f"{shell.name}@{digest}", "-o", output).strip()
        again = shell.run("push", written, f"{shell.name}:again")
        assert (again.returncode, again.stdout) == (0, f"{shell.name}@{digest}\n"), again.stderr


def test_without_a_digest_the_tag_is_looked_up_and_its_digest_said(
    shell: Shell, tmp_path: Path
) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"), "latest")
    done = shell.run("pull", shell.name, "-o", "x")
    assert (done.returncode, done.stdout) == (0, "oci:x:latest\n")
    assert f"nix2oci: {shell.name} is {digest}\n" in done.stderr
    assert "nix2oci: pulled 3 blobs, 1.0 kB in " in done.stderr


def test_an_image_that_has_no_tag_gets_none(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"))
    assert shell.pulled(f"docker://{shell.name}@{digest}", "-o", "x") == "oci:x\n"
    assert shell.pulled(f"{shell.name}@{digest}", "-o", "x") == "oci:x\n"
    (entry,) = shell.index("x")["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": f"{shell.name}@{digest}"}
    with_tag = shell.pulled(f"{shell.name}:1.0@{digest}", "-o", "x")
    assert (with_tag, len(shell.index("x")["manifests"])) == ("oci:x:1.0\n", 2)


def test_an_index_comes_with_all_its_platforms_or_with_one(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(write_index(tmp_path))
    shell.pulled(f"{shell.name}:1.0@{digest}", "-o", "all")
    assert shell.index("all")["manifests"][0]["digest"] == digest
    one = shell.pulled(f"{shell.name}:1.0", "--platform", "linux/arm64", "-o", "one")
    assert one == "oci:one:1.0\n"
    (entry,) = shell.index("one")["manifests"]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    shown = json.loads(shell.run("inspect", "--json", "one").stdout)
    assert shown["config"]["architecture"] == "arm64"
    assert len(files(shell.directory / "one")) < len(files(shell.directory / "all"))


def test_manifests_of_docker_stay_as_they_are(shell: Shell, tmp_path: Path) -> None:
    kind = f"{DOCKER}distribution.manifest.v2+json"

    def manifest(document: dict[str, Any]) -> None:
        document["mediaType"] = kind
        document["config"]["mediaType"] = f"{DOCKER}container.image.v1+json"
        for layer in document["layers"]:
            layer["mediaType"] = f"{DOCKER}image.rootfs.diff.tar.gzip"

    digest = shell.put(SmallImage(manifest=manifest).write(tmp_path / "image"))
    shell.pulled(f"{shell.name}@{digest}", "-o", "x.tar")
    with tarfile.open(shell.directory / "x.tar") as tar:
        member = tar.extractfile("index.json")
        assert member
        (entry,) = json.load(member)["manifests"]
    assert (entry["mediaType"], entry["digest"]) == (kind, digest)


def test_an_archive_has_what_docker_loads_unless_docker_cannot_read_a_layer(
    shell: Shell, tmp_path: Path
) -> None:
    plain = shell.put(SmallImage().write(tmp_path / "plain"))
    zstd = Layer(VIEW_LAYER.plain, suffix="+zstd")
    packed = shell.put(SmallImage(layers=(zstd,)).write(tmp_path / "packed"), "2.0")
    shell.pulled(f"{shell.name}:1.0@{plain}", "-o", "plain.tar")
    shell.pulled(f"{shell.name}@{plain}", "-o", "bare.tar")
    shell.pulled(f"{shell.name}@{packed}", "-o", "packed.tar")
    found = {}
    for name in ("plain", "bare", "packed"):
        with tarfile.open(shell.directory / f"{name}.tar") as tar:
            member = tar.extractfile("manifest.json") if "manifest.json" in tar.getnames() else None
            found[name] = json.load(member)[0]["RepoTags"] if member else None
    assert found == {"plain": [f"{shell.name}:1.0"], "bare": [], "packed": None}


def test_an_archive_goes_to_stdout(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"))
    name = f"{shell.name}@{digest}"
    shell.pulled(name, "-o", "x.tar")
    done = subprocess.run(
        [NIX2OCI, "pull", "--json", name, "-o", "-"], cwd=shell.directory, env=shell.env(),
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == (shell.directory / "x.tar").read_bytes()
    assert json.loads(done.stderr[done.stderr.index(b"{") :])["reference"] is None


def test_json_has_the_keys_that_are_documented(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(write_index(tmp_path))
    args = (f"{shell.name}:1.0", "--platform", "linux/amd64", "-o", "x", "--json")
    document = json.loads(shell.pulled(*args))
    assert set(document) == documented("pull", 0)
    assert document["name"] == f"{shell.name}:1.0@{digest}"
    assert document["digest"] == shell.index("x")["manifests"][0]["digest"]
    assert document["size"] == document["fetched"] > 0


def test_quiet_leaves_the_result_alone(shell: Shell, tmp_path: Path) -> None:
    shell.put(SmallImage().write(tmp_path / "image"))
    done = shell.run("pull", "-q", f"{shell.name}:1.0", "-o", "x")
    assert (done.stdout, done.stderr) == ("oci:x:1.0\n", "")


def test_signatures_stay_in_the_registry_since_tomorrow_there_may_be_more(
    shell: Shell, tmp_path: Path
) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"))
    shell.pulled(f"{shell.name}@{digest}", "-o", "before")

    def about(document: dict[str, Any]) -> None:
        size = shell.index("before")["manifests"][0]["size"]
        kind = "application/vnd.oci.image.manifest.v1+json"
        document["subject"] = {"mediaType": kind, "digest": digest, "size": size}

    shell.put(SmallImage(manifest=about).write(tmp_path / "about"), "signature")
    shell.pulled(f"{shell.name}@{digest}", "-o", "after")
    assert files(shell.directory / "before") == files(shell.directory / "after")


def test_an_image_on_what_was_pulled_is_the_image_on_what_is_in_the_registry(
    shell: Shell, tmp_path: Path
) -> None:
    digest = shell.put(write_index(tmp_path))
    terminal = Terminal.make(shell.directory)
    built = set()
    for base in (f"{shell.name}@{digest}", f"{shell.name}:1.0", f"{shell.name}:1.0@{digest}"):
        pulled = shell.pulled(base, "-o", base.rpartition("/")[2]).strip()
        for number, on in enumerate((base, pulled.replace(":", f":{shell.directory}/", 1))):
            done = terminal.run("build", ".#app", "--base", on, "--json", "-o", f"x{number}")
            assert done.returncode == 0, done.stderr
            built.add((base, json.loads(done.stdout)["digest"]))
    assert len(built) == 3


# --- what is here already ----------------------------------------------------------------------


def test_a_layout_that_has_the_blobs_needs_none(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"))
    shell.pulled(f"{shell.name}@{digest}", "-o", "x")
    (damaged,) = (shell.directory / "x").rglob(digest[7:])
    damaged.write_bytes(b"damaged")
    shell.registry.seen.clear()
    done = shell.run("pull", f"{shell.name}@{digest}", "-o", "x")
    assert done.stderr.endswith("nix2oci: pulled no blob; 3 here already\n")
    assert shell.registry.calls("GET", BLOB) == []
    assert digest_of(damaged.read_bytes()) == digest


def test_layers_that_were_pulled_once_come_from_the_cache(shell: Shell, tmp_path: Path) -> None:
    digest = shell.put(SmallImage().write(tmp_path / "image"))
    shell.pulled(f"{shell.name}@{digest}", "-o", "x", HOME=str(tmp_path))
    shell.registry.seen.clear()
    shell.pulled(f"{shell.name}@{digest}", "-o", "y", HOME=str(tmp_path))
    assert len(shell.registry.calls("GET", BLOB)) == 1  # the configuration
    shell.pulled(f"{shell.name}@{digest}", "-o", "z", "--no-cache", HOME=str(tmp_path))
    assert len(shell.registry.calls("GET", BLOB)) == 4
    assert files(shell.directory / "x") == files(shell.directory / "z")


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_leaves_nothing_and_goes_on_where_it_ended(
    shell: Shell, tmp_path: Path, name: signal.Signals
) -> None:
    image = SmallImage().write(tmp_path / "image")
    digest = shell.put(image)
    manifest = json.loads((image / "blobs/sha256" / digest[7:]).read_text())
    held = manifest["layers"][1]["digest"]
    begun, over = Event(), Event()

    def hold(exchange: Exchange) -> None:
        begun.set()
        over.wait(60)
        exchange.cut()

    shell.registry.script("GET", f"/blobs/{held}", hold)
    argv = [NIX2OCI, "pull", f"{shell.name}@{digest}", "-o", "x"]
    env = shell.env(HOME=str(tmp_path))
    kept = tmp_path / ".cache/nix2oci/blobs/sha256" / manifest["layers"][0]["digest"][7:]
    with started(argv, env, shell.directory) as process:
        assert begun.wait(60)
        while not kept.exists():
            assert process.poll() is None
        process.send_signal(name)
        out, err = process.communicate(timeout=60)
        over.set()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert list(shell.directory.iterdir()) == []
    shell.registry.seen.clear()
    shell.pulled(f"{shell.name}@{digest}", "-o", "x", HOME=str(tmp_path))
    asked = [call.rpartition("/")[2] for call in shell.registry.calls("GET", BLOB)]
    assert sorted(asked) == sorted([held, manifest["config"]["digest"]])


# --- what does not come as it should -----------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "error", "hint"),
    [
        pytest.param(
            ("{name}@sha256:" + 64 * "0",),
            6,
            "cannot read image at {name}@sha256:" + 64 * "0" + ": GET ",
            None,
            id="a digest that is not there",
        ),
        pytest.param(("UPPER/x",), 2, "cannot read image reference", None, id="no reference"),
        pytest.param(
            ("{name}:1.0", "--platform", "linux/s390x"),
            2,
            "cannot read image at {name}:1.0: 0 of its 2 images are for linux/s390x",
            "it has linux/amd64, linux/arm64",
            id="a platform that is not there",
        ),
        pytest.param(
            ("{name}:one", "--platform", "linux/arm64"),
            2,
            "cannot read image at {name}:one: it is for linux/amd64, not for linux/arm64",
            None,
            id="one image for another platform",
        ),
        pytest.param(
            ("{name}:1.0", "--format", "oci", "-o", "-"),
            2,
            "cannot write an image layout to stdout: it is a directory",
            "use --format archive",
            id="a layout on stdout",
        ),
        pytest.param(
            ("{name}:1.0", "-o", "taken"),
            2,
            "cannot write image layout at taken: the directory holds other things",
            "name a new directory, or an image layout, with -o",
            id="a directory of something else",
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    shell: Shell, tmp_path: Path, *, args: tuple[str, ...], code: int, error: str, hint: str | None
) -> None:
    shell.put(write_index(tmp_path))
    shell.put(SmallImage().write(tmp_path / "one"), "one")
    (shell.directory / "taken").mkdir()
    (shell.directory / "taken/file").touch()
    given = [each.format(name=shell.name) for each in args]
    done = shell.run("pull", *given, *(() if "-o" in args else ("-o", "x")))
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {error.format(name=shell.name)}" in done.stderr
    assert hint is None or f"hint: {hint}" in done.stderr
    assert [path.name for path in shell.directory.iterdir()] == ["taken"]


@pytest.mark.parametrize("where", ["manifest", "layer"])
def test_other_bytes_than_those_of_the_digest_are_refused(
    shell: Shell, tmp_path: Path, where: str
) -> None:
    image = SmallImage().write(tmp_path / "image")
    digest = shell.put(image)
    if where == "manifest":
        shell.registry.script("GET", "/manifests/", answer(200, b"{}"), always=True)
        cause = f"it sent {digest_of(b'{}')} when it was asked for {digest}"
    else:
        layers = json.loads((image / "blobs/sha256" / digest[7:]).read_text())["layers"]
        shell.registry.blobs[REPOSITORY, layers[0]["digest"]] = b"other"
        cause = f"it sent other bytes than those of {layers[0]['digest']}"
    done = shell.run("pull", f"{shell.name}@{digest}", "-o", "x")
    assert (done.returncode, done.stdout) == (6, "")
    where = f"{shell.name}@{digest}"
    assert done.stderr.splitlines()[-1] == f"error: cannot read image at {where}: {cause}"
    assert list(shell.directory.iterdir()) == []


def test_an_index_that_lost_an_image_can_give_another(shell: Shell, tmp_path: Path) -> None:
    root = write_index(tmp_path)
    digest = shell.put(root)
    entries = json.loads((root / "blobs/sha256" / digest[7:]).read_text())["manifests"]
    gone = entries[1]["digest"]
    del shell.registry.manifests[REPOSITORY, gone]
    name = f"{shell.name}@{digest}"
    done = shell.run("pull", name, "-o", "x")
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot read image at {name}: there is no blob {gone}",
        "hint: take one platform of it: --platform OS/ARCH",
    ]
    assert shell.pulled(name, "--platform", "linux/amd64", "-o", "x") == "oci:x\n"


def test_what_is_no_manifest_that_has_a_list_of_blobs_is_refused(shell: Shell) -> None:
    kind = f"{DOCKER}distribution.manifest.v1+prettyjws"
    old = json.dumps({"schemaVersion": 1, "fsLayers": []}).encode()
    headers = {"content_type": kind}
    shell.registry.script("GET", "/manifests/", answer(200, old, **headers), always=True)
    done = shell.run("pull", f"{shell.name}:1.0", "-o", "x")
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.splitlines()[-1] == (
        f"error: cannot read image at {shell.name}:1.0: {digest_of(old)} is no manifest, it is "
        f"'{kind}'"
    )
    assert list(shell.directory.iterdir()) == []


@pytest.mark.parametrize("more", [-1, 1])
def test_a_blob_of_another_size_than_is_said_of_it_is_refused(
    shell: Shell, tmp_path: Path, more: int
) -> None:
    image = SmallImage().write(tmp_path / "image")
    manifest = json.loads((image / "blobs/sha256" / shell.put(image)[7:]).read_text())
    manifest["layers"][0]["size"] += more
    data = json.dumps(manifest).encode()
    shell.registry.script("GET", "/manifests/", answer(200, data), always=True)
    done = shell.run("pull", f"{shell.name}@{digest_of(data)}", "-o", "x")
    assert (done.returncode, done.stdout) == (8, "")
    assert "bytes that are said of it" in done.stderr
    assert list(shell.directory.iterdir()) == []
