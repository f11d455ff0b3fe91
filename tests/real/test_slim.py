"""Slim images of real programs: smaller, and they do the work that the whole ones do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from real.distro import sample as flake
from real.engines import Container, Job, Mount, Runc, output, wait_until
from real.images import Images, Layout, closure_of, nix2oci
from real.work import WORK, ask, get, listens

pytestmark = pytest.mark.slow

LEVELS = ("1", "2")

Build = Callable[["Started", str], str]


@dataclass(frozen=True, slots=True)
class Started:
    """A program of a sample, how it is started, and what must be true of it then."""

    name: str
    attribute: str = "default"
    options: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Path, Container], None] | None = None

    def __str__(self) -> str:
        return f"{self.name}#{self.attribute}"


# What these say has to be the same.
SPEAKING = (
    Started("hello-c", args=("a", "b c")),
    Started("metadata"),
    Started("tools", options=("--entrypoint", "upper")),
    Started("app"),
    Started("wrapped", "wrapped", args=("one", "two words")),
)


@pytest.fixture(scope="module")
def build(distro: Path, scratch: Path, runc_engine: Runc) -> Build:
    """Builds a sample at a level, and names it as runc has it."""

    @cache
    def loaded(name: str, attribute: str, options: tuple[str, ...], level: str) -> str:
        archive = scratch / f"slim-{name}-{attribute}-{level}.tar"
        more = ("--tag", f"{name}-{attribute}-{level}:1", "--slim", level, "-o", str(archive))
        nix2oci("build", *flake(distro, name, attribute), *options, *more)
        return runc_engine.load(archive)

    return lambda started, level: loaded(started.name, started.attribute, started.options, level)


@pytest.fixture(scope="module")
def slim(images: Images) -> Mapping[str, Images]:
    """Images of the distribution's programs, by level."""
    made = {}
    for level in LEVELS:
        directory = images.directory / f"slim-{level}"
        directory.mkdir()
        made[level] = Images(images.distro, directory, ("--slim", level), f"slim{level}")
    return made


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sample", SPEAKING, ids=str)
def test_a_sample_says_what_the_whole_one_says(
    sample: Started, level: str, build: Build, runc_engine: Runc
) -> None:
    def said(level: str) -> tuple[int, str]:
        done = runc_engine.run(Job(build(sample, level), sample.args))
        return done.returncode, done.stdout

    whole = said("none")
    assert whole[0] == 0
    assert said(level) == whole


def web(share: Path, server: Container) -> None:
    wait_until(lambda: listens(share / "s"), server.logs)
    assert json.loads(get(share / "s", "/healthz")) == {"status": "ok"}


def redis(share: Path, server: Container) -> None:
    wait_until(lambda: listens(share / "s"), server.logs)
    assert "allkeys-lru" in ask(share / "s", b"config get maxmemory-policy\r\n")


def serve(_: Path, server: Container) -> None:
    wait_until(lambda: "listening on port" in server.logs(), server.logs)


SERVERS = (
    Started("web-python", env={"HOST": "unix:///srv/s"}, check=web),
    Started("server-config", args=("--port", "0", "--unixsocket", "/srv/s"), check=redis),
    Started("app", "serve", env={"PORT": "0"}, check=serve),
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sample", SERVERS, ids=str)
def test_a_server_of_the_samples_serves(
    sample: Started, level: str, build: Build, runc_engine: Runc, share: Path
) -> None:
    mounts = (Mount(share, "/srv", read_only=False),)
    job = Job(build(sample, level), sample.args, env=sample.env, mounts=mounts)
    with runc_engine.start(job) as server:
        assert sample.check
        sample.check(share, server)
        assert server.stop() == 0


@pytest.mark.parametrize("program", WORK)
def test_a_program_does_its_work_at_the_second_level(
    program: str, slim: Mapping[str, Images], runc_engine: Runc, share: Path
) -> None:
    WORK[program](runc_engine, slim["2"], share)


def size(layout: Layout) -> int:
    return sum(layer["size"] for layer in layout.manifest["layers"])


def test_an_image_is_smaller_with_each_level_and_has_its_licences(
    images: Images, slim: Mapping[str, Images]
) -> None:
    whole, first, second = (
        images.layout("git"),
        slim["1"].layout("git"),
        slim["2"].layout("git"),
    )
    assert size(second) < size(first) < 0.9 * size(whole)
    assert licences(whole)
    assert licences(first) == licences(second) == licences(whole)
    for each in (first, second):
        assert "0 errors" in nix2oci("validate", each.path)


def licences(layout: Layout) -> set[str]:
    """The files that every package of a distribution says its licence in."""
    tar = layout.path.with_suffix(".files.tar")
    nix2oci("export", "-q", layout.path, "-o", tar)
    names = output("tar", "-tf", tar).splitlines()
    tar.unlink()
    return {name for name in names if name.endswith("/copyright")}


def test_images_with_the_same_rules_share_layers(
    images: Images, slim: Mapping[str, Images]
) -> None:
    first = slim["1"]
    shared = {*first.layout("redis-server").layers} & {*first.layout("nginx").layers}
    assert shared
    assert not shared & {*images.layout("redis-server").layers}


def test_hard_links_alone_change_nothing_that_nix_can_see(
    images: Images, runc_engine: Runc, scratch: Path
) -> None:
    directory = scratch / "duplicates"
    directory.mkdir()
    linked = Images(images.distro, directory, ("--slim", "duplicates", "--shell=keep"), "linked")
    layout = linked.layout("git")
    assert size(layout) < size(images.layout("git"))
    rootfs = runc_engine.rootfs(linked.loaded(runc_engine, "git"))
    (entrypoint,) = layout.config["config"]["Entrypoint"]
    closure = closure_of("/".join(entrypoint.split("/")[:4]))
    recorded = output("nix-store", "--query", "--hash", *closure).split()
    unpacked = output(
        "nix-hash", "--type", "sha256", "--base32", *(f"{rootfs}{path}" for path in closure)
    )
    assert [f"sha256:{each}" for each in unpacked.split()] == recorded


def test_a_plan_says_what_the_image_then_lacks(images: Images, slim: Mapping[str, Images]) -> None:
    argv = ("plan", "-q", *images.installables("git"), "--slim", "1", "--json")
    plan: Any = json.loads(nix2oci(*argv))["slim"]
    assert plan["rules"] == ["docs", "dev", "pyc", "duplicates"]
    named = partial(sum_of, plan["savings"], plan["rules"])
    saved = size(images.layout("git")) - size(slim["1"].layout("git"))
    assert 0.9 < saved / named("compressed") < 1.1


def sum_of(savings: Any, rules: list[str], key: str) -> int:
    return sum(savings[rule][key] for rule in rules)
