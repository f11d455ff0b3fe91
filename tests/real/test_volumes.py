"""Volumes and the working directory can be written to, in Docker and podman.

runc alone is not asked: umoci makes an empty tmpfs of root's of each volume.
"""

import os
import tempfile
from pathlib import Path

import pytest
from real.engines import ClientEngine, Job, output
from real.images import Images, nix2oci

WHERE = ("--volumes", "/var/lib/shop", "--workdir", "/srv/shop")


@pytest.fixture(params=["podman", "docker"])
def client(request: pytest.FixtureRequest) -> ClientEngine:
    engine: ClientEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine


def loaded(engine: ClientEngine, images: Images, name: str, *flags: str) -> str:
    """An image whose program is busybox, with a volume and a working directory."""
    path = images.directory / f"{name}-{engine.name}.tar"
    installables = images.installables("busybox-static")
    tag = ("--tag", f"nix2oci.test/{name}:1")
    nix2oci("build", *installables, "--entrypoint", "busybox", *WHERE, *tag, *flags, "-o", path)
    return engine.load(path)


@pytest.mark.parametrize(
    ("name", "flags", "owner"),
    [
        pytest.param("numbers", ("--user", "1000:1001"), "1000:1001", id="a number"),
        pytest.param("named", ("--user", "shop", "--users", "shop:990"), "990:990", id="a name"),
        pytest.param("default", (), "65532:65532", id="the default user"),
    ],
)
def test_the_user_writes(
    client: ClientEngine, images: Images, name: str, flags: tuple[str, ...], owner: str
) -> None:
    image = loaded(client, images, name, *flags)
    script = "touch /var/lib/shop/a b && stat -c '%u:%g %a' /var/lib/shop /srv/shop && pwd"
    done = client.run(Job(image, ("sh", "-c", script)))
    assert done.stdout.splitlines() == [f"{owner} 755", f"{owner} 755", "/srv/shop"], done.stderr


def test_a_named_volume_takes_its_owner_from_the_image(
    client: ClientEngine, images: Images
) -> None:
    image = loaded(client, images, "volume", "--user", "1000:1000")
    run = (*client.client, "run", "--rm", "--network=none", *client.limits)
    volume = f"shop{os.getpid()}"
    try:
        for name in ("first", "second"):
            mount = f"--volume={volume}:/var/lib/shop"
            output(*run, mount, image, "touch", f"/var/lib/shop/{name}")
        found = output(*run, f"--volume={volume}:/var/lib/shop", image, "ls", "/var/lib/shop")
        assert found.split() == ["first", "second"]
    finally:
        output(*client.client, "volume", "rm", "-f", volume)


def test_an_arbitrary_user_of_group_0_writes_where_something_is_mounted(
    client: ClientEngine, images: Images
) -> None:
    """As docs/image.md says for OpenShift, which gives a volume to a group of the process."""
    image = loaded(client, images, "arbitrary")
    with tempfile.TemporaryDirectory(prefix="n2o-") as directory:
        Path(directory).chmod(0o2770)
        flags = ("--user=1000730000:0", f"--volume={directory}:/var/lib/shop", "--env=HOME=/tmp")
        run = (*client.client, "run", "--rm", "--network=none", *client.limits, *flags)
        output(*run, image, "touch", "/tmp/a", "/var/lib/shop/b")
        assert (Path(directory) / "b").stat().st_uid == 1000730000
