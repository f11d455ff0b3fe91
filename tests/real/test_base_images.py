"""Images on base images that others made, and images of others on ours."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from real.bases import GROUP, MANY, PASSWD, PATH, Bases
from real.distro import run, sample
from real.engines import ClientEngine, Engine, Job, Runc, output, read_blob
from real.images import NIX2OCI, Images, Layout, nix2oci
from support.tools import require

pytestmark = pytest.mark.slow

BOTH = "hello && id -u && ls -d /srv && . /etc/os-release && echo $ID"
KINDS = ("debian", "docker", "saved", "zstd", "many")


@pytest.fixture(scope="session")
def bases(distro: Path, scratch: Path) -> Bases:
    directory = scratch / "bases"
    directory.mkdir()
    return Bases(distro.with_name("distro.debs"), directory, sample(distro, "hello-c"))


def findings(image: Path | str) -> list[str]:
    done = run(NIX2OCI, "validate", image)
    return [line for line in done.stdout.splitlines() if line.startswith(("error", "warning"))]


def said(engine: Engine, image: str) -> list[str]:
    """What programs of both say, started from the shell of the base."""
    done = engine.run(Job(image, ("-c", BOTH), entrypoint="/bin/sh"))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def manifest_of(kind: str, bases: Bases) -> tuple[str, Any]:
    """Digest and document of the base's manifest."""
    layout = Layout(Path(bases.base(kind).rpartition(":")[0]))
    return layout.descriptor["digest"], layout.manifest


def test_programs_of_both_run_in_every_engine(engine: Engine, bases: Bases) -> None:
    image = engine.load(bases.build("debian", "archive"))
    done = engine.run(Job(image))
    assert done.stdout.splitlines()[0] == "hello from nix"
    assert said(engine, image)[-3:] == ["65532", "/srv", "debian"]


def test_what_was_saved_may_be_compressed(bases: Bases, tmp_path: Path) -> None:
    require("gzip")
    saved = bases.base("saved").rpartition(":")[0]
    packed, image = tmp_path / "saved.tar.gz", tmp_path / "image.oci"
    with packed.open("wb") as out:
        subprocess.run(["gzip", "-1", "-c", saved], stdout=out, check=True)
    base = ("--base", f"docker-archive:{packed}", "--max-layers", "127")
    nix2oci("build", *bases.hello, *base, "-o", image)
    assert Layout(image).layers == bases.layout("saved").layers


@pytest.mark.parametrize("kind", KINDS)
def test_the_layers_of_a_base_come_first(kind: str, bases: Bases) -> None:
    layout = bases.layout(kind)
    assert len(layout.config["rootfs"]["diff_ids"]) == len(layout.layers)
    assert {layer["mediaType"].partition(".v1.tar")[0] for layer in layout.manifest["layers"]} == {
        "application/vnd.oci.image.layer"
    }
    if kind != "saved":  # there is no manifest in what `docker save` wrote
        digest, below = manifest_of(kind, bases)
        layers = [layer["digest"] for layer in below["layers"]]
        assert layout.layers[: len(layers)] == layers
        assert len(layers) == (MANY if kind == "many" else 1)
        notes = layout.manifest["annotations"]
        assert notes["org.opencontainers.image.base.digest"] == digest
        assert notes["org.opencontainers.image.base.name"] == f"{kind}:12"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrong_that_is_not_wrong_with_the_base(kind: str, bases: Bases) -> None:
    assert set(findings(bases.layout(kind).path)) <= set(findings(bases.base(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_base_runs_in_podman(
    kind: str, bases: Bases, podman_engine: ClientEngine
) -> None:
    image = f"oci:{bases.layout(kind).path}:1"
    assert said(podman_engine, image)[-3:] == ["65532", "/srv", "debian"]


def test_a_base_of_120_layers_is_unpacked_by_umoci(bases: Bases, runc_engine: Runc) -> None:
    image = runc_engine.load(bases.build("many", "archive"))
    assert (runc_engine.rootfs(image) / f"srv/{MANY - 1}").read_text() == f"{MANY - 1}\n"
    assert said(runc_engine, image)[0] == "hello from nix"


def test_links_directories_and_users_are_those_of_the_base(bases: Bases, runc_engine: Runc) -> None:
    root = runc_engine.rootfs(runc_engine.load(bases.build("debian", "archive")))
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "lib64").readlink() == Path("usr/lib64")
    assert (root / "usr/bin/hello").readlink().parts[:3] == ("/", "nix", "store")
    assert (root / "etc/passwd").read_text().startswith(PASSWD)
    assert "nonroot:x:65532:65532:" in (root / "etc/passwd").read_text()
    assert (root / "etc/group").read_text().startswith(GROUP)
    config = bases.layout("debian").config["config"]
    assert f"PATH={PATH}" in config["Env"]
    assert config["WorkingDir"] == "/srv"
    assert "Cmd" not in config


@pytest.mark.parametrize("name", ["runc", "podman"])  # Docker lays an /etc of its own over a link
def test_the_files_of_etc_lie_behind_its_link(
    name: str, bases: Bases, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    image = engine.load(bases.build("linked", "archive"))
    script = "hello && busybox readlink /etc && busybox cat /data/etc/passwd /etc/os-release"
    done = engine.run(Job(image, ("-c", script), entrypoint="/bin/sh"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "hello from nix"
    below = lines.index("data/etc") + 1
    assert "\n".join(lines[below:]).startswith(PASSWD)
    assert "ID=nix2oci" in lines
    assert set(findings(bases.build("linked", "archive"))) <= set(findings(bases.base("linked")))


def test_the_same_base_gives_the_same_image(bases: Bases) -> None:
    again = bases.directory / "again.oci"
    tag = ("--tag", "nix2oci.test/hello-debian:1", "--max-layers", "127")
    nix2oci("build", *bases.hello, "--base", bases.base("debian"), *tag, "-o", again)
    assert Layout(again).contents() == bases.layout("debian").contents()


def test_store_paths_that_our_own_image_has_are_not_there_twice(
    bases: Bases, images: Images, runc_engine: Runc
) -> None:
    base = images.layout("redis-server")
    path = bases.directory / "on-ours.tar"
    printed = nix2oci(
        "build", *bases.hello, "--base", f"{base.path}:1", "-o", path, "--json", "--tag", "on-ours"
    )
    document = json.loads(printed)
    left_out = document["base"]["paths"]
    assert any("-glibc-" in name for name in left_out)
    ours = [name for layer in document["layers"] for name in layer["paths"]]
    assert len(ours) == 1
    assert ours[0].endswith("-hello-1.0")
    assert set(findings(path)) <= set(findings(base.path))
    assert runc_engine.run(Job(runc_engine.load(path))).stdout.startswith("hello from nix\n")


@pytest.mark.parametrize(
    ("below", "above"),
    [("auto", "auto"), ("drop", "keep"), ("keep", "drop"), ("keep", "auto"), ("auto", "keep")],
)
def test_our_own_image_is_a_base_whatever_became_of_its_shell(
    below: str, above: str, images: Images, bases: Bases, runc_engine: Runc
) -> None:
    """The same wrapper is a launcher in one and a script in the other, and its shell is dropped."""
    flask = (*images.installables("python3-flask"), "--entrypoint", "flask")
    base, made = bases.directory / f"flask-{below}.oci", bases.directory / f"{below}-{above}.tar"
    if not base.exists():
        nix2oci("build", *flask, "--shell", below, "-o", base)
    tag = ("--tag", f"nix2oci.test/{below}-{above}:1", "--max-layers", "127")
    nix2oci("build", *flask, "--base", base, "--shell", above, "-o", made, *tag)
    assert [line for line in findings(made) if line.startswith("error")] == []
    image = runc_engine.load(made)
    root = runc_engine.rootfs(image)
    program = root / (root / "usr/bin/flask").readlink().relative_to("/")
    assert program.read_bytes().startswith(b"#!" if above == "keep" else b"\x7fELF")
    done = runc_engine.run(Job(image, ("--version",)))
    assert done.stdout.startswith("Python 3."), done.stderr


# --- the other direction ---------------------------------------------------------------------


def build(engine: ClientEngine, directory: Path, name: str, dockerfile: str) -> str:
    """Build a Dockerfile that has one file to copy; the classic builder needs nothing else."""
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "settings").write_text("copied\n")
    limits = [flag for flag in engine.limits if flag.startswith("--ulimit")]
    podman = ("--isolation=chroot", "--network=host", "--pull=never", *limits)
    own = podman if engine.name == "podman" else ("--network=none",)
    output("env", "DOCKER_BUILDKIT=0", *engine.client, "build", *own, "--tag", name, directory)
    return name


@pytest.fixture(params=["podman", "docker"])
def builder(request: pytest.FixtureRequest) -> ClientEngine:
    require(request.param)
    engine: ClientEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine


def test_a_dockerfile_stands_on_our_image(
    builder: ClientEngine, images: Images, tmp_path: Path
) -> None:
    ours = images.loaded(builder, "redis-server")
    lines = f'FROM {ours}\nCOPY settings /etc/app/settings\nCMD ["--version"]\n'
    made = build(builder, tmp_path, "example.com/on-ours:1", lines)
    assert builder.run(Job(made)).stdout.startswith("Redis server v=")
    shown = json.loads(output(*builder.client, "inspect", made))[0]["Config"]
    below = images.layout("redis-server").config["config"]
    assert shown["Entrypoint"] == below["Entrypoint"]
    assert shown["User"] == below["User"]


def test_a_dockerfile_runs_programs_of_ours_and_of_the_base(
    builder: ClientEngine, bases: Bases, tmp_path: Path
) -> None:
    ours = builder.load(bases.build("debian", "archive"))
    lines = (
        f"FROM {ours}\nCOPY settings /etc/app/settings\n"
        "USER 0\nRUN hello > /srv/said && cat /etc/app/settings >> /srv/said\nUSER 65532\n"
    )
    made = build(builder, tmp_path, "example.com/on-both:1", lines)
    done = builder.run(Job(made, ("/srv/said",), entrypoint="/bin/cat"))
    assert done.stdout.splitlines()[0] == "hello from nix"
    assert done.stdout.splitlines()[-1] == "copied"


def test_our_layers_are_below_those_of_a_dockerfile(
    podman_engine: ClientEngine, images: Images, tmp_path: Path
) -> None:
    ours = images.loaded(podman_engine, "redis-server")
    made = build(podman_engine, tmp_path, "example.com/kept:1", f"FROM {ours}\nCOPY settings /s\n")
    out = tmp_path / "out"
    output(*podman_engine.client, "push", made, f"oci:{out}:1")
    below = images.layout("redis-server").config["rootfs"]["diff_ids"]
    manifest = read_blob(out, json.loads((out / "index.json").read_bytes())["manifests"][0])
    assert read_blob(out, manifest["config"])["rootfs"]["diff_ids"][: len(below)] == below
    assert [line for line in findings(out) if line.startswith("error")] == []
