"""What `build --load` puts into an engine runs there, under the name that was printed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.containerd import containerd
from real.engines import ClientEngine, Job, output
from real.images import Images, Layout, nix2oci
from real.shims import shims, with_shims
from support.tools import require

NAMES = {
    "docker": "team/sed:1",
    "podman": "localhost/team/sed:1",
    "containerd": "docker.io/team/sed:1",
}
BUILD = ("--tag", "team/sed:1", "--entrypoint", "sed")
SCRIPT = ("--quiet", "--expression", "1p", "/etc/passwd")
FIRST = "root:x:0:0:"


@pytest.fixture(scope="module")
def ctr(scratch: Path) -> Iterator[str]:
    state = scratch / "containerd"
    state.mkdir()
    with containerd(state) as address:
        yield address


@pytest.fixture(scope="module")
def env(
    scratch: Path, docker_engine: ClientEngine, podman_engine: ClientEngine, ctr: str
) -> Mapping[str, str]:
    """The environment of a user who has all three engines."""
    return with_shims(shims(scratch / "shims", (docker_engine, podman_engine), ctr))


@dataclass(frozen=True)
class Written:
    """What the layout of the same image says."""

    manifest: str
    config: str
    program: str


@pytest.fixture(scope="module")
def written(images: Images) -> Written:
    layout = Layout(images.directory / "load-sed.oci")
    nix2oci("build", *images.installables("sed"), *BUILD, "-o", layout.path)
    (program,) = layout.config["config"]["Entrypoint"]
    return Written(layout.descriptor["digest"], layout.manifest["config"]["digest"], program)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_client_runs_what_was_loaded(
    request: pytest.FixtureRequest,
    images: Images,
    env: Mapping[str, str],
    written: Written,
    name: str,
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    printed = nix2oci("build", *images.installables("sed"), *BUILD, "--load", name, env=env)
    assert printed == NAMES[name]
    done = engine.run(Job(printed, SCRIPT))
    assert (done.returncode, done.stdout[: len(FIRST)]) == (0, FIRST), done.stderr
    shown = output(*engine.client, "image", "inspect", "--format", "{{.Id}}", printed).strip()
    assert f"sha256:{shown.removeprefix('sha256:')}" == written.config


def test_containerd_runs_what_was_loaded(
    images: Images, env: Mapping[str, str], ctr: str, written: Written
) -> None:
    require("ctr", "runc")
    printed = nix2oci(
        *("build", *images.installables("sed"), *BUILD),
        *("--load", "containerd", "--namespace", "k8s.io"),
        env=env,
    )
    assert printed == NAMES["containerd"]
    client = ("ctr", "--address", ctr, "--namespace", "k8s.io")
    assert written.manifest in output(*client, "images", "list", f"name=={printed}")
    done = output(*client, "run", "--rm", printed, "nix2oci-load", written.program, *SCRIPT)
    assert done.startswith(FIRST)


@pytest.mark.parametrize("compression", ["zstd", "zstd:chunked"])
def test_podman_takes_zstd_and_the_debug_twin(
    images: Images,
    env: Mapping[str, str],
    podman_engine: ClientEngine,
    tmp_path: Path,
    compression: str,
) -> None:
    refs = tmp_path / "refs"
    printed = nix2oci(
        *("build", *images.installables("sed"), "--tag", "team/zstd:1", "--entrypoint", "sed"),
        *("--load", "podman", "--compression", compression, "--image-refs", refs, "--debug"),
        *("--debug-tools", *images.installables("busybox")),
        env=env,
    )
    assert printed == "localhost/team/zstd:1"
    tools = Job(f"{printed}-debug", ("-c", "echo", "$0"), entrypoint="/busybox/sh")
    assert podman_engine.run(tools).returncode == 0
    lines = [line.partition("@sha256:")[0] for line in refs.read_text().splitlines()]
    assert lines == ["team/zstd:1", "team/zstd:1-debug"]


def test_a_daemon_that_does_not_run_is_an_error(images: Images, tmp_path: Path) -> None:
    require("docker")
    engine = ClientEngine("docker", ("docker", "-H", f"unix://{tmp_path}/none"), ())
    env = with_shims(shims(tmp_path / "bin", [engine], None))
    with pytest.raises(AssertionError) as caught:
        nix2oci("build", *images.installables("sed"), "--load", "docker", env=env)
    assert "exit 8\nerror: cannot load into docker: " in str(caught.value)
    assert "hint: start Docker, or name its socket" in str(caught.value)
