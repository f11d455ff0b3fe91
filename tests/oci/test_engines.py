"""An image goes into an engine whole, under a name that its `run` takes, or an error says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.fakeengine import PROGRAMS, FakeEngine
from support.smallimage import Layer, SmallImage

from nix2oci.errors import EngineError, OutputError
from nix2oci.oci.engines import EngineName
from nix2oci.oci.layout.source import ImageSource, open_image
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout

NAME = Reference.parse("app:1")
ENGINES = tuple(PROGRAMS)
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def image(tmp_path: Path) -> ImageSource:
    return open_image(str(SmallImage().write(tmp_path / "app.oci")))


@pytest.fixture
def fake(tmp_path: Path) -> FakeEngine:
    return FakeEngine(tmp_path)


@pytest.mark.parametrize(
    ("engine", "name", "known"),
    [
        ("docker", "app:1", "app:1"),
        ("docker", "app", "app:latest"),
        ("docker", "example.com/team/app:1", "example.com/team/app:1"),
        ("podman", "app:1", "localhost/app:1"),
        ("podman", "team/app:1", "localhost/team/app:1"),
        ("podman", "example.com/team/app:1", "example.com/team/app:1"),
        ("containerd", "app:1", "docker.io/library/app:1"),
        ("containerd", "team/app:1", "docker.io/team/app:1"),
        ("containerd", "example.com/app", "example.com/app:latest"),
    ],
)
def test_an_engine_has_its_own_word_for_a_name(
    fake: FakeEngine, engine: EngineName, name: str, known: str
) -> None:
    assert fake.engine(engine).known_as(Reference.parse(name)) == known


@pytest.mark.parametrize("name", ENGINES)
def test_what_an_engine_is_sent_is_the_image(
    fake: FakeEngine, image: ImageSource, name: EngineName
) -> None:
    sent: list[int] = []
    loaded = fake.engine(name).load(image, [NAME], sent.append)
    manifest, config = image.descriptor.digest, image.config_descriptor().digest
    received = open_image(str(fake.received))
    assert received.descriptor.digest == manifest
    assert validate_layout(str(fake.received)) == ()
    assert loaded.id == (manifest if name == "containerd" else config)
    assert loaded.said == f"Loaded image: {received.descriptor.annotations[NAMED]}"
    assert sum(sent) == fake.received.stat().st_size


NAMED = "io.containerd.image.name"


@pytest.mark.parametrize(
    ("engine", "calls"),
    [
        (
            "docker",
            [
                ["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"],
                ["docker", "load"],
                ["docker", "image", "inspect", "--format", "{{.Id}}", "app:1"],
            ],
        ),
        (
            "podman",
            [
                ["podman", "info", "--format", "{{.Host.OS}}/{{.Host.Arch}}"],
                ["podman", "info", "--format", "{{.Store.ImageCopyTmpDir}}"],
                ["podman", "load"],
                ["podman", "image", "inspect", "--format", "{{.Id}}", "localhost/app:1"],
            ],
        ),
        (
            "containerd",
            [
                ["ctr", "--namespace", "k8s.io", *rest]
                for rest in (
                    ["version"],
                    ["images", "import", "--platform", "linux/amd64", "-"],
                    ["images", "list", "name==docker.io/library/app:1"],
                )
            ],
        ),
    ],
)
def test_an_engine_is_asked_by_its_own_command(
    fake: FakeEngine, image: ImageSource, engine: EngineName, calls: list[list[str]]
) -> None:
    mine = fake.engine(engine, "k8s.io" if engine == "containerd" else None)
    assert mine.platform == Platform("amd64")
    mine.load(image, [NAME])
    assert fake.calls == calls


@pytest.mark.parametrize("named_by", ["TMPDIR", "podman"])
def test_the_copy_that_podman_makes_of_an_archive_is_gone_whatever_becomes_of_podman(
    fake: FakeEngine, image: ImageSource, tmp_path: Path, named_by: str
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    engine = fake.engine("podman")
    if named_by == "TMPDIR":
        engine = replace(engine, env={**engine.env, "TMPDIR": str(copies)})
    else:
        fake.answer("info --format {{.Store", f"{copies}\n")
    at_start = copies.stat().st_mtime_ns
    engine.load(image, [NAME])
    assert list(copies.iterdir()) == []
    assert copies.stat().st_mtime_ns > at_start, "nothing was ever there"


def test_a_podman_on_another_machine_makes_its_copies_there(
    fake: FakeEngine, image: ImageSource, tmp_path: Path
) -> None:
    fake.answer("info --format {{.Store", f"{tmp_path}/not-here\n")
    assert fake.engine("podman").load(image, [NAME]).names == ("localhost/app:1",)


def test_the_platform_is_that_of_the_engine(fake: FakeEngine) -> None:
    fake.answer("version", "linux/arm64\n")
    assert fake.engine("docker").platform == Platform("arm64")


def test_a_docker_that_keeps_manifests_has_the_image_by_its_manifest(
    fake: FakeEngine, image: ImageSource
) -> None:
    fake.answer("image inspect", f"{image.descriptor.digest}\n")
    assert fake.engine("docker").load(image, [NAME]).id == image.descriptor.digest


@pytest.mark.parametrize(
    ("name", "stderr", "cause", "hint"),
    [
        pytest.param(
            "docker",
            "Cannot connect to the Docker daemon at unix:///s. Is the docker daemon running?\n",
            "Cannot connect to the Docker daemon at unix:///s. Is the docker daemon running?",
            "start Docker, or name its socket with DOCKER_HOST or 'docker context use'",
            id="no daemon of Docker",
        ),
        pytest.param(
            "podman",
            "WARN[0000] old cgroups\nError: cannot connect to Podman socket\n",
            "cannot connect to Podman socket",
            "'podman info' must work",
            id="a podman that does not work",
        ),
        pytest.param(
            "containerd",
            'ctr: failed to dial "/s": timeout\n',
            'failed to dial "/s": timeout',
            "start containerd, or name its socket with CONTAINERD_ADDRESS; it may need root",
            id="no containerd",
        ),
        pytest.param(
            "docker",
            "",
            "it ended with exit code 1",
            "start Docker, or name its socket with DOCKER_HOST or 'docker context use'",
            id="one that says nothing",
        ),
    ],
)
def test_an_engine_that_does_not_answer(
    fake: FakeEngine, name: EngineName, stderr: str, cause: str, hint: str
) -> None:
    for command in ("version", "info"):
        fake.answer(command, stderr=stderr, code=1)
    with pytest.raises(EngineError) as caught:
        str(fake.engine(name).platform)
    assert (str(caught.value), caught.value.hint) == (f"cannot load into {name}: {cause}", hint)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(("name", "program"), PROGRAMS.items())
def test_an_engine_that_is_not_there(tmp_path: Path, name: EngineName, program: str) -> None:
    fake = FakeEngine(tmp_path, programs=())
    with pytest.raises(EngineError) as caught:
        str(fake.engine(name).platform)
    assert str(caught.value) == f"cannot load into {name}: there is no '{program}' on PATH"
    assert caught.value.hint == "install it, or write an archive with -o PATH.tar"


def test_a_command_that_cannot_be_run(fake: FakeEngine) -> None:
    program = fake.directory / "bin/docker"
    program.write_text("no program")
    with pytest.raises(EngineError) as caught:
        str(fake.engine("docker").platform)
    message = "cannot load into docker: cannot run 'docker': Exec format error"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("command", "answer", "cause"),
    [
        pytest.param(
            "load",
            {"stderr": "Error response from daemon: no space left on device\n", "code": 1},
            "no space left on device",
            id="refused",
        ),
        pytest.param(
            "load",
            {
                "stderr": "Copying blob\nError: no format fits:\n * oci: no\n * dir: \x1b[31mno\n",
                "code": 125,
            },
            "no format fits: * oci: no * dir: \\x1b[31mno",
            id="refused in many words",
        ),
        pytest.param(
            "load",
            {"stderr": "Error: " + "x" * 500, "code": 1},
            "x" * 400 + "…",
            id="refused at length",
        ),
        pytest.param(
            "image inspect",
            {"stderr": "Error: No such image: app:1\n", "code": 1},
            "No such image: app:1",
            id="not there afterwards",
        ),
        pytest.param(
            "image inspect",
            {"stdout": "\n"},
            "it is not there afterwards",
            id="nothing said of it",
        ),
    ],
)
def test_an_image_that_did_not_arrive(
    fake: FakeEngine, image: ImageSource, command: str, answer: dict[str, Any], cause: str
) -> None:
    fake.answer(command, **answer)
    with pytest.raises(EngineError) as caught:
        fake.engine("docker").load(image, [NAME])
    assert str(caught.value) == f"cannot load app:1 into docker: {cause}"


def test_another_image_under_the_name(fake: FakeEngine, image: ImageSource) -> None:
    fake.answer("image inspect", OTHER)
    with pytest.raises(EngineError) as caught:
        fake.engine("docker").load(image, [NAME])
    assert str(caught.value) == (
        f"cannot load app:1 into docker: it has {OTHER} under that name now, which is neither "
        f"the configuration {image.config_descriptor().digest} "
        f"nor the manifest {image.descriptor.digest}"
    )
    assert caught.value.hint == "does something else load or tag the same name?"


def test_an_engine_that_stops_reading_says_why_itself(fake: FakeEngine, tmp_path: Path) -> None:
    large = Layer(b"\0" * (1 << 20), pack=lambda data: data, suffix="")
    image = open_image(str(SmallImage(layers=(large,)).write(tmp_path / "large.oci")))
    fake.answer("load", stderr="Error: enough\n", code=1)
    with pytest.raises(EngineError, match=r"^cannot load app:1 into docker: enough$"):
        fake.engine("docker").load(image, [NAME])


def test_an_image_that_cannot_be_read_ends_the_engine(fake: FakeEngine, image: ImageSource) -> None:
    blob = fake.directory / "app.oci/blobs/sha256" / image.layers()[0].digest.hex
    blob.unlink()
    with pytest.raises(OutputError) as caught:
        fake.engine("docker").load(image, [NAME])
    assert str(caught.value).startswith(f"cannot read blob {image.layers()[0].digest} of ")
    assert not (fake.state / "has").exists()


@pytest.mark.parametrize(
    ("name", "asked", "words", "hint"),
    [
        pytest.param("docker", "version", "docker version", "start Docker, or name", id="docker"),
        pytest.param("podman", "info", "podman info", "'podman info' must work", id="podman"),
        pytest.param("containerd", "version", "ctr version", "start containerd", id="containerd"),
    ],
)
def test_an_engine_that_does_not_answer_is_an_error_in_time(
    fake: FakeEngine, name: EngineName, asked: str, words: str, hint: str
) -> None:
    """As where a socket accepts and nothing comes; what was asked does not live on."""
    fake.answer(asked, waits=True)
    with pytest.raises(EngineError) as raised:
        _ = replace(fake.engine(name), patience=2).platform
    message = f"cannot load into {name}: '{words}' has not answered for 2 seconds"
    assert str(raised.value) == message
    assert str(raised.value.hint).startswith(hint)
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.state / "waiting").read_text()), 0)


def test_an_engine_that_is_silent_after_loading_is_an_error_in_time(
    fake: FakeEngine, image: ImageSource
) -> None:
    fake.answer("image inspect", waits=True)
    with pytest.raises(EngineError, match=r"has not answered for 0\.5 seconds$"):
        replace(fake.engine("docker"), patience=0.5).load(image, [NAME])


def test_half_a_minute_is_long_enough(fake: FakeEngine) -> None:
    assert fake.engine("docker").patience == 30
