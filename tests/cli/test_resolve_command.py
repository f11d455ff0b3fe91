"""`nix2oci resolve` as a user gets it: YAML in, YAML out, and images in a registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakenix import missing
from support.fakeregistry import FakeRegistry, error
from support.fakeserver import running
from support.pushbuild import Shop
from support.terminal import Completed
from support.two_systems import BOTH, place

from nix2oci.oci.spec import INDEX

DEPLOYMENT = """\
# What runs.
apiVersion: apps/v1
kind: Deployment
spec:
  containers:
    - image: "nix2oci://.#app"  # ours
      args: [ --port,  80 ]
"""
JOB = "kind: Job\nimage: nix2oci://.#app\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running(FakeRegistry()) as registry:
        yield Shop.make(tmp_path, registry)


def put(shop: Shop, **texts: str) -> None:
    for name, text in texts.items():
        (shop.terminal.directory / f"{name}.yaml").write_text(text)


def resolve(shop: Shop, *args: str, text: str = "", **env: str) -> Completed:
    where = {"NIX2OCI_REPO": f"{shop.registry.registry}/team", **env}
    return subprocess.run(
        shop.terminal.argv("resolve", *args), cwd=shop.terminal.directory,
        env=shop.terminal.env(**shop.env(**where)), input=text, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def reference(shop: Shop, repository: str = "team/app") -> str:
    """That of the one image that was pushed."""
    (digest,) = {name for place, name in shop.registry.manifests if name.startswith("sha256:")}
    assert (repository, digest) in shop.registry.manifests
    return f"{shop.registry.registry}/{repository}@{digest}"


def builds(shop: Shop) -> int:
    return sum("build" in call and "--json" in call for call in shop.terminal.fake.calls)


def test_all_but_the_reference_is_as_it_was(shop: Shop) -> None:
    put(shop, deployment=DEPLOYMENT)
    done = resolve(shop, "-f", "deployment.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == DEPLOYMENT.replace("nix2oci://.#app", reference(shop))
    assert "nix2oci: pushing to " in done.stderr
    assert ("team/app", "latest") in shop.registry.manifests


def test_an_image_that_several_files_name_is_built_once(shop: Shop) -> None:
    put(shop, b=JOB, a=DEPLOYMENT)
    done = resolve(shop, "-f", ".")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{DEPLOYMENT}---\n{JOB}".replace("nix2oci://.#app", reference(shop))
    assert builds(shop) == 1


def test_standard_input_is_a_filter(shop: Shop) -> None:
    done = resolve(shop, "-f", "-", text=JOB)
    assert done.returncode == 0, done.stderr
    assert done.stdout == JOB.replace("nix2oci://.#app", reference(shop))


def test_a_second_time_nothing_is_sent_and_the_text_is_the_same(shop: Shop) -> None:
    first = resolve(shop, "-f", "-", text=JOB)
    shop.forget()
    assert resolve(shop, "-f", "-", text=JOB).stdout == first.stdout
    assert shop.sent() == []


def test_yaml_that_names_no_image_passes_and_neither_nix_nor_a_registry_is_asked(
    shop: Shop,
) -> None:
    text = "# nix2oci://.#app\na: b\r\n\r\n"
    done = resolve(shop, "-f", "-", text=text, NIX2OCI_REPO="")
    assert (done.returncode, done.stdout) == (0, text.replace("\r\n", "\n"))
    assert done.stderr == "nix2oci: nothing is built: no value is nix2oci://INSTALLABLE\n"
    assert (shop.terminal.fake.calls, shop.registry.seen) == ([], [])


def test_what_is_left_alone_is_said(shop: Shop) -> None:
    put(shop, a="run: |\n  #!/bin/sh\n  exec nix2oci://.#app\n")
    done = resolve(shop, "-f", "a.yaml")
    assert done.stderr.splitlines()[0] == (
        "nix2oci: warning: a.yaml:3: nix2oci:// stays as it is: it is part of a longer text"
    )
    assert resolve(shop, "-q", "-f", "a.yaml").stderr == ""


def test_push_names_another_place(shop: Shop) -> None:
    done = resolve(shop, "-f", "-", "--push", f"{shop.registry.registry}/other/x", text=JOB)
    assert done.returncode == 0, done.stderr
    assert done.stdout == JOB.replace("nix2oci://.#app", reference(shop, "other/x/app"))


def test_a_tag_is_set_beside_the_digest(shop: Shop) -> None:
    done = resolve(shop, "-f", "-", "-t", "1.0", "-t", "edge", text=JOB)
    assert done.stdout == JOB.replace("nix2oci://.#app", reference(shop))
    assert {("team/app", "1.0"), ("team/app", "edge")} <= set(shop.registry.manifests)


def test_images_of_the_file_go_by_their_names(shop: Shop) -> None:
    (shop.terminal.directory / "flake.nix").touch()
    put(shop, nix2oci="images: {web: {installable: .#app, labels: {a: b}}, other: {}}\n")
    text = "- nix2oci://#web\n- 'nix2oci://#web'\n"
    done = resolve(shop, "-f", "-", "--image-refs", "refs", "--metadata", "meta", text=text)
    assert done.returncode == 0, done.stderr
    there = reference(shop, "team/web")
    assert done.stdout == text.replace("nix2oci://#web", there)
    refs = (shop.terminal.directory / "refs").read_text()
    assert refs == there.replace("@", ":latest@") + "\n"
    (said,) = json.loads((shop.terminal.directory / "meta").read_text())
    assert said["reference"] == there


def test_an_image_for_several_platforms_is_the_index_of_them(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    (terminal.directory / "a.yaml").write_text(JOB)
    with running(FakeRegistry()) as registry:
        there = f"{registry.registry}/team"
        done = terminal.run("resolve", "-f", "a.yaml", *BOTH, "--push", there)
        assert done.returncode == 0, done.stderr
        kind, _ = registry.manifests["team/app", done.stdout.strip().partition("@")[2]]
    assert kind == INDEX


# --- when it goes wrong ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        pytest.param("a: [", 2, "cannot read a.yaml:2:1: did not find expected", id="no YAML"),
        pytest.param(
            "a:\n  b: nix2oci://.#app^",
            2,
            "a.yaml:2:6: cannot use installable '.#app^': '' after '^' is not a list of outputs",
            id="no installable",
        ),
        pytest.param(
            "a: 'nix2oci://'", 2, "a.yaml:1:4: cannot use installable '': it is empty", id="nothing"
        ),
        pytest.param(
            "- nix2oci://#wep",
            2,
            "a.yaml:1:3: nix2oci.yaml has no image 'wep'",
            id="an image that the file lacks",
        ),
        pytest.param(
            "- a: nix2oci://.#nope",
            3,
            "image '.#nope of a.yaml:1:6': cannot evaluate '.#nope': "
            "the flake has no package or app 'nope'",
            id="a package that is not there",
        ),
    ],
)
def test_an_error_says_where(shop: Shop, text: str, code: int, message: str) -> None:
    shop.terminal.fake.answer("#nope", stderr=missing("nope"), code=1)
    shop.terminal.fake.nix()
    (shop.terminal.directory / "flake.nix").touch()
    put(shop, a=text, nix2oci="images: {web: {installable: .#app}}\n")
    done = resolve(shop, "-f", "a.yaml")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {message}" in done.stderr
    assert shop.registry.calls("PUT", "/") == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param((), "there is nothing to resolve", id="no file"),
        pytest.param(("-f", "x"), "cannot read x: No such file or directory", id="not there"),
        pytest.param(
            ("-f", "a.yaml", "--push", "UPPER"),
            "cannot push several images: 'UPPER' is not REGISTRY/PATH",
            id="no place to push to",
        ),
    ],
)
def test_what_cannot_be_done(shop: Shop, args: tuple[str, ...], message: str) -> None:
    put(shop, a=JOB)
    done = resolve(shop, *args)
    assert (done.stdout, done.stderr.splitlines()[0]) == ("", f"error: {message}")
    assert builds(shop) == 0


def test_nothing_is_printed_unless_all_was_pushed(shop: Shop) -> None:
    put(shop, a=JOB, b="nothing: here\n")
    shop.registry.script("PUT", "/manifests/", error(400, "MANIFEST_INVALID"), always=True)
    done = resolve(shop, "-f", ".", "--image-refs", "refs")
    assert (done.returncode, done.stdout) == (6, "")
    assert shop.terminal.left() == ["a.yaml", "b.yaml"]


def test_with_keep_going_the_others_are_pushed_and_nothing_is_printed(shop: Shop) -> None:
    shop.terminal.fake.answer("#nope", stderr=missing("nope"), code=1)
    shop.terminal.fake.nix()
    put(shop, a="- nix2oci://.#nope\n- nix2oci://.#app\n")
    done = resolve(shop, "-f", "a.yaml", "--keep-going")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("error: ") == 1
    assert "error: image '.#nope of a.yaml:1:3': cannot evaluate '.#nope'" in done.stderr
    assert ("team/app", "latest") in shop.registry.manifests


def test_two_names_for_one_place_in_a_registry_are_refused(shop: Shop) -> None:
    put(shop, a="- nix2oci://.#app\n- nix2oci://.\n")
    done = resolve(shop, "-f", "a.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: image '. of a.yaml:2:3': it would be " in done.stderr
    assert "which image '.#app of a.yaml:1:3' is\nhint: " in done.stderr


def test_a_pyyaml_without_libyaml_does_the_same(shop: Shop) -> None:
    """It is slower, and reads less at once."""
    start = (
        "import sys; sys.modules['yaml._yaml'] = None; sys.argv[0] = 'nix2oci'; "
        "from nix2oci.cli import main; main()"
    )
    put(shop, a=DEPLOYMENT, many=f"[{'a, ' * 60_000}]")
    argv = [sys.executable, "-c", start, *shop.terminal.argv("resolve", "-f")[1:]]
    env = shop.terminal.env(**shop.env(NIX2OCI_REPO=f"{shop.registry.registry}/team"))
    here = shop.terminal.directory

    def run(name: str) -> Completed:
        words = [*argv[:5], name, *argv[5:]]
        return subprocess.run(
            words, cwd=here, env=env, capture_output=True, text=True, check=False, timeout=120
        )

    assert run("a.yaml").stdout == DEPLOYMENT.replace("nix2oci://.#app", reference(shop))
    done = run("many.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "more than 50000 words and marks" in done.stderr


def test_what_is_attached_goes_with_the_images(shop: Shop) -> None:
    shop.registry.lists_referrers = True
    put(shop, job=JOB)
    done = resolve(shop, "-f", "job.yaml", "--attach=spdx")
    assert done.returncode == 0, done.stderr
    digest = done.stdout.strip().rpartition("@")[2]
    (found,) = shop.registry.referrers("team/app", digest)
    assert found["artifactType"] == "application/spdx+json"
