"""One image for several platforms, with a Nix that says what a test wants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.elf_heads import X86_64
from support.fakeengine import FakeEngine
from support.fakenix import OUT, value
from support.json_page import documented
from support.two_systems import ARM, ARM_DRV, BOTH, place

from nix2oci.oci.layout.source import open_image, open_layout
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(BOTH, id="platforms"),
        pytest.param(("--platform", "linux/arm64, linux/amd64"), id="in another order"),
        pytest.param(("--system", "x86_64-linux,aarch64-linux"), id="systems"),
    ],
)
def test_each_platform_is_built_from_its_system(tmp_path: Path, asked: tuple[str, ...]) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", "-o", "x", *asked)
    assert (done.returncode, done.stdout) == (0, "oci:x:latest\n"), done.stderr
    assert validate_layout(str(terminal.directory / "x")) == ()
    for architecture, path in (("amd64", OUT), ("arm64", ARM)):
        found = open_image(str(terminal.directory / "x"), Platform(architecture))
        assert found.config().platform.architecture == architecture
        assert found.config().run.entrypoint == (f"{path}/bin/app",)
    (entry,) = open_layout(str(terminal.directory / "x"))[0].entries()
    assert done.stderr.splitlines()[-1] == (
        f"nix2oci: app:latest is for {_said(asked)}; digest {entry.digest}"
    )


def _said(asked: tuple[str, ...]) -> str:
    names = ["linux/amd64", "linux/arm64"]
    return ", ".join(names[::-1] if asked[1].startswith("linux/arm64") else names)


def test_nix_evaluates_for_a_platform_and_builds_as_it_can(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    terminal.run("build", ".#app", "-o", "x", *BOTH)
    calls = [(call[0], "--system" in call) for call in terminal.fake.calls]
    assert {call for call in calls if call[1]} == {("eval", True)}
    assert ("build", False) in calls


def test_one_platform_is_no_index(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", "-o", "x", "--platform", "linux/arm64", "--json")
    (entry,) = open_layout(str(terminal.directory / "x"))[0].entries()
    document = json.loads(done.stdout)
    assert (document["digest"], document["platform"]) == (str(entry.digest), "linux/arm64")
    assert entry.platform == Platform("arm64")


def test_a_cross_compiled_program_is_for_the_platform_that_is_asked_for(tmp_path: Path) -> None:
    """Its derivation is one of the system that it is built on."""
    terminal = place(tmp_path)
    terminal.fake.answer("--system aarch64-linux", value(drv=ARM_DRV))
    terminal.fake.rules.insert(2, terminal.fake.rules.pop())
    terminal.fake.nix()
    done = terminal.run("build", ".#app", "-o", "x", "--platform", "linux/arm64")
    assert done.returncode == 0, done.stderr
    assert open_image(str(terminal.directory / "x")).config().platform.architecture == "arm64"


def test_the_document_of_several(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", "-o", "x.tar", *BOTH, "--json", "--image-refs", "refs")
    document = json.loads(done.stdout)
    assert set(document) == documented("build", 3)
    assert [each["platform"] for each in document["platforms"]] == ["linux/amd64", "linux/arm64"]
    (entry,) = open_layout(str(terminal.directory / "x.tar"))[0].entries()
    assert document["digest"] == str(entry.digest)
    assert (terminal.directory / "refs").read_text() == f"app:latest@{entry.digest}\n"


def test_the_engine_gets_its_own(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    fake = FakeEngine(terminal.fake.directory)
    fake.answer("version", "linux/arm64")
    done = terminal.run("build", ".#app", "--load", "docker", *BOTH)
    assert (done.returncode, done.stdout) == (0, "app:latest\n"), done.stderr
    assert open_image(str(fake.received)).platform() == Platform("arm64")


def test_an_engine_for_another_machine_is_told_of(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    fake = FakeEngine(terminal.fake.directory)
    done = terminal.run("build", ".#app", "--load", "podman", "--platform", "linux/arm64")
    assert "nix2oci: podman runs linux/amd64, the image is for linux/arm64\n" in done.stderr
    assert open_image(str(fake.received)).platform() == Platform("arm64")


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        pytest.param(
            ("--platform", "linux/arm64", "--system", "x86_64-linux"),
            "cannot use --platform and --system at once: both name the platform",
            None,
            id="said twice",
        ),
        pytest.param(
            ("--platform", "linux/mips"),
            "cannot build for platform 'linux/mips': no system of Nix is known for it",
            "there are linux/amd64, linux/arm64, linux/386, linux/arm/v7, linux/arm/v6, "
            "linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64",
            id="a platform that is not known",
        ),
        pytest.param(
            ("--system", "x86_64-linux,x86_64-darwin"),
            "cannot make an image for system 'x86_64-darwin': no OCI platform is known for it",
            "name a Linux system with --system, such as x86_64-linux",
            id="a system that no image is for",
        ),
        pytest.param(
            ("--platform", "linux/arm64,linux/riscv64", "--load", "docker"),
            "cannot load into docker: it runs linux/amd64, "
            "and the image is for linux/arm64 and linux/riscv64",
            "add linux/amd64 to --platform",
            id="none for the engine",
        ),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path, args: tuple[str, ...], message: str, hint: str | None
) -> None:
    terminal = place(tmp_path)
    FakeEngine(terminal.fake.directory)
    done = terminal.run("build", ".#app", *args)
    assert (done.stdout, terminal.left()) == ("", [])
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    assert (done.returncode, done.stderr.splitlines()[-len(lines) :]) == (2, lines)


def test_a_wrong_program_for_one_platform_leaves_nothing(tmp_path: Path) -> None:
    terminal = place(tmp_path, X86_64)
    done = terminal.run("build", ".#app", "-o", "x", *BOTH)
    assert (done.returncode, done.stdout, terminal.left()) == (5, "", [])
    message = f"error: cannot make an image for linux/arm64: {ARM}/bin/app is for x86_64"
    assert message in done.stderr.splitlines()


def test_one_name_for_all_platforms(tmp_path: Path) -> None:
    terminal = place(tmp_path, pname="other", mainProgram="app")
    done = terminal.run("build", ".#app", "-o", "x", *BOTH)
    assert (done.returncode, terminal.left()) == (2, [])
    message, hint = done.stderr.splitlines()[-2:]
    assert message == (
        "error: cannot make one image of several platforms: "
        "it is 'app:latest' for one of them and 'other:latest' for another"
    )
    assert hint == "hint: name it with --tag NAME:TAG"


def test_inspect_shows_the_platform_that_is_asked_for(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    terminal.run("build", ".#app", "-o", "x", *BOTH)
    done = terminal.run("inspect", "x", "--platform", "linux/arm64")
    assert "platform:   linux/arm64\n" in done.stdout
