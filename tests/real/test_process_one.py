"""docs/init.md: what it is to be the first process, and what an init changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from real.engines import ClientEngine, Container, Engine, Job, wait_until
from real.images import Images, nix2oci

pytestmark = pytest.mark.slow

ORPHAN = "(sleep 0.1 &); exec sleep 60"
"""Leaves a child to process 1, which does not ask for it."""
ZOMBIES = "grep -l 'State:.Z' /proc/[0-9]*/status"


@pytest.fixture(scope="module")
def build(images: Images, scratch: Path) -> Callable[..., Path]:
    """An archive of busybox and tini that starts these words; each only once."""

    def made(name: str, *flags: str) -> Path:
        path = scratch / f"init-{name}.tar"
        if not path.exists():
            tag = ("--tag", f"nix2oci.test/init-{name}:1", "-q")
            nix2oci(
                "build", *images.installables("busybox-static", "tini"), *flags, *tag, "-o", path
            )
        return path

    return made


@pytest.fixture(params=["runc", "docker"])
def quick(request: pytest.FixtureRequest) -> Engine:
    """Not podman, which asks a container to end for ten seconds before it removes it."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return engine


BARE = ("bare", "--entrypoint=busybox")
TINI = ("tini", "--entrypoint=tini", "--entrypoint=--", "--entrypoint=busybox")


def shell(container: Container, script: str) -> str:
    return container.exec("/bin/busybox", "sh", "-c", script).stdout


@pytest.mark.parametrize(
    ("image", "first"),
    [
        pytest.param(BARE, "sleep 60", id="the program itself"),
        pytest.param(TINI, "tini -- busybox sleep 60", id="an init that is the entrypoint"),
    ],
)
def test_the_first_process_is(
    image: tuple[str, ...], first: str, quick: Engine, build: Callable[..., Path]
) -> None:
    with quick.start(Job(quick.load(build(*image)), ("sleep", "60"))) as container:
        shown = shell(container, "tr '\\0' ' ' < /proc/1/cmdline").strip()
    assert shown.rpartition("/")[2].removeprefix("busybox ") == first


def test_a_program_that_handles_no_signal_is_killed(
    docker_engine: ClientEngine, build: Callable[..., Path]
) -> None:
    """Process 1 gets no default action: SIGTERM does nothing."""
    with docker_engine.start(Job(docker_engine.load(build(*BARE)), ("sleep", "60"))) as container:
        assert container.stop() == 137


def ends_and_buries(engine: Engine, archive: Path) -> None:
    with engine.start(Job(engine.load(archive), ("sh", "-c", ORPHAN))) as container:
        assert shell(container, "sleep 0.3; " + ZOMBIES) == ""
        assert container.stop() == 143


def test_an_init_in_the_image_ends_and_buries(engine: Engine, build: Callable[..., Path]) -> None:
    ends_and_buries(engine, build(*TINI))


def test_dockers_own_init_does_it_too(
    docker_engine: ClientEngine, build: Callable[..., Path]
) -> None:
    with_init = replace(docker_engine, limits=(*docker_engine.limits, "--init"))
    ends_and_buries(with_init, build(*BARE))


def test_without_one_orphans_stay(quick: Engine, build: Callable[..., Path]) -> None:
    with quick.start(Job(quick.load(build(*BARE)), ("sh", "-c", ORPHAN))) as container:
        wait_until(lambda: shell(container, ZOMBIES) != "", container.logs)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_stop_sends_the_signal_of_the_image(
    name: str, build: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    image = engine.load(build("int", "--entrypoint=busybox", "--stop-signal=SIGINT"))
    script = "trap 'exit 5' INT; while :; do sleep 0.1; done"
    with engine.start(Job(image, ("sh", "-c", script))) as container:
        wait_until(lambda: "trap" in shell(container, "cat /proc/1/cmdline"), container.logs)
        assert container.stop() == 5
