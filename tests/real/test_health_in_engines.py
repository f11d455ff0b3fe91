"""`healthcheck`: which tools read it, keep it or drop it. docs/image.md has the table."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real.docker_registry import registry
from real.engines import ClientEngine, output, wait_until
from real.images import Images, Layout, nix2oci

NAME = "nix2oci.test/health"
CHECK = {"Test": ["CMD", "busybox", "test", "-e", "/tmp/well"], "Interval": 200_000_000}
SETTINGS = """\
entrypoint: [busybox, sh, -c, 'while sleep 1; do :; done']
healthcheck: {test: [busybox, test, -e, /tmp/well], interval: 200ms}
"""


@pytest.fixture(scope="module")
def where(images: Images, scratch: Path) -> Path:
    """Where there is the archive `x.tar` and the layout `x.oci` of one image."""
    directory = scratch / "health"
    directory.mkdir()
    (directory / "nix2oci.yaml").write_text(SETTINGS)
    flags = ("--config", directory / "nix2oci.yaml", "--tag", f"{NAME}:1", "-q")
    for name in ("x.tar", "x.oci"):
        nix2oci("build", *images.installables("busybox-static"), *flags, "-o", directory / name)
    assert Layout(directory / "x.oci").config["config"]["Healthcheck"] == CHECK
    return directory


@pytest.fixture(scope="module")
def host(where: Path) -> Iterator[str]:
    """A registry that has the image as `oci` and, as Docker has it, as `docker`."""
    with registry(where) as address:
        skopeo = ("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{where}/x.oci:1")
        output(*skopeo, f"docker://{address}/x:oci")
        output(*skopeo, "--format=v2s2", f"docker://{address}/x:docker")
        yield address


def said(engine: ClientEngine, image: str) -> Any:
    """The health check of an image that an engine has, as it says it itself."""
    field = {"docker": ".Config.Healthcheck", "podman": ".HealthCheck"}[engine.name]
    form = f"{{{{json {field}}}}}"
    return json.loads(output(*engine.client, "image", "inspect", "-f", form, image))


def test_docker_asks_the_container(docker_engine: ClientEngine, where: Path) -> None:
    image = docker_engine.load(where / "x.tar")
    assert said(docker_engine, image) == CHECK
    client = docker_engine.client
    name = output(*client, "run", "-d", "--network=none", *docker_engine.limits, image).strip()

    def status() -> str:
        return output(*client, "inspect", "-f", "{{.State.Health.Status}}", name).strip()

    try:
        wait_until(lambda: status() == "unhealthy", status)
        output(*client, "exec", name, "/usr/bin/busybox", "touch", "/tmp/well")
        wait_until(lambda: status() == "healthy", status)
    finally:
        output(*client, "rm", "-f", name)


def test_docker_reads_it_from_a_registry(docker_engine: ClientEngine, host: str) -> None:
    for tag in ("oci", "docker"):
        output(*docker_engine.client, "pull", "-q", f"{host}/x:{tag}")
        assert said(docker_engine, f"{host}/x:{tag}") == CHECK


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("oci-archive:{where}/x.tar", None, id="an archive, taken for what OCI says"),
        pytest.param("oci:{where}/x.oci:1", None, id="a layout"),
        pytest.param("docker://{host}/x:oci", None, id="a registry"),
        pytest.param("docker-archive:{where}/x.tar", CHECK, id="the same archive as Docker's"),
        pytest.param("docker://{host}/x:docker", CHECK, id="a registry, of Docker's type"),
    ],
)
def test_podman_reads_it_from_what_is_dockers(
    podman_engine: ClientEngine, where: Path, host: str, source: str, expected: object
) -> None:
    client = podman_engine.client
    place = source.format(where=where, host=host)
    flags = ("--tls-verify=false",) if place.startswith("docker:") else ()
    image = output(*client, "pull", "-q", *flags, place).strip()
    try:
        assert said(podman_engine, image) == expected
    finally:
        output(*client, "rmi", "-f", image)


def test_podman_is_told_when_it_starts_one(podman_engine: ClientEngine, where: Path) -> None:
    image = podman_engine.load(where / "x.tar")
    assert said(podman_engine, image) is None
    flags = ("--health-cmd", '["busybox", "test", "-e", "/tmp"]', "--health-interval=disable")
    run = (*podman_engine.client, "run", "-d", "--network=none", *podman_engine.limits, *flags)
    name = output(*run, image).strip()
    try:
        output(*podman_engine.client, "healthcheck", "run", name)
    finally:
        output(*podman_engine.client, "rm", "-f", "-t", "0", name)


def test_tools_of_oci_pass_it_over(where: Path, tmp_path: Path) -> None:
    nix2oci("validate", where / "x.oci")
    output("skopeo", "copy", "-q", f"oci:{where}/x.oci:1", f"oci:{tmp_path}/copy:1")
    assert Layout(tmp_path / "copy").config["config"]["Healthcheck"] == CHECK
    output("umoci", "unpack", "--image", f"{tmp_path}/copy:1", tmp_path / "bundle")


def test_umoci_drops_it_where_it_writes_a_configuration(where: Path, tmp_path: Path) -> None:
    output("skopeo", "copy", "-q", f"oci:{where}/x.oci:1", f"oci:{tmp_path}/copy:1")
    output("umoci", "config", "--image", f"{tmp_path}/copy:1", "--config.label", "a=b")
    assert "Healthcheck" not in Layout(tmp_path / "copy").config["config"]
