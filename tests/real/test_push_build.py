"""`nix2oci build --push` and a real registry: what is made and sent, and that the image runs."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.editable import App
from real.engines import ClientEngine, output
from real.images import NIX2OCI, Layout
from real.registries import Registry, fetched, serving
from real.traces import opened
from support.tools import require

from nix2oci.oci.validate.check_image import validate_layout

pytestmark = [pytest.mark.nix, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Runner:
    """A machine of CI: each build begins with nothing in its cache."""

    app: App
    registry: Registry
    home: Path

    def env(self) -> dict[str, str]:
        return {
            **os.environ,  # noqa: TID251
            "HOME": str(self.home),
            "NIX2OCI_REPO": f"{self.registry.host}/team",
        }

    def argv(self) -> list[str]:
        return [NIX2OCI, "build", self.app.installable, "--no-cache", "--tag=app:1"]

    def push(self, *options: str) -> dict[str, Any]:
        """What `--json` says of a build that pushes to team/app:1."""
        argv = [*self.argv(), "--json", "--push", *options]
        done = subprocess.run(argv, env=self.env(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture(scope="module")
def app(distro: Path, scratch: Path) -> App:
    require("nix")
    made = App.make(scratch / "pushed", distro, "curl")
    made.build()
    return made


@pytest.fixture
def runner(app: App, tmp_path: Path) -> Iterator[Runner]:
    with serving(tmp_path / "state") as registry:
        yield Runner(app, registry, tmp_path)


def test_an_unchanged_image_sends_no_blob(runner: Runner) -> None:
    first = runner.push()
    assert len(runner.registry.puts()) == len(first["layers"]) + 1
    second = runner.push()
    assert len(runner.registry.puts()) == len(first["layers"]) + 1
    assert second["reference"] == first["reference"]
    assert (second["pushed"]["sent"], second["read"]) == (0, {"files": 0, "bytes": 0})
    assert [layer["reused"] for layer in second["layers"][:-1]] == [True] * (
        len(first["layers"]) - 1
    )


def test_after_a_change_of_the_application_only_that_is_read_and_sent(runner: Runner) -> None:
    first = runner.push()
    sent = len(runner.registry.puts())
    runner.app.edit(f"something else, for {runner.home}")
    path = runner.app.build()
    files = [file for file in path.rglob("*") if file.is_file()]
    second = runner.push()
    made = [layer for layer in second["layers"] if not layer["reused"]]
    assert [layer["paths"] for layer in made] == [[str(path)], []]
    assert second["read"] == {"files": len(files), "bytes": made[0]["nar_size"]}
    assert second["read"]["bytes"] * 100 < first["read"]["bytes"]
    assert len(runner.registry.puts()) == sent + 3, "layer, last layer and configuration"
    assert second["pushed"]["sent"] * 100 < first["pushed"]["sent"]


def test_without_the_search_for_shells_no_other_file_is_opened(
    runner: Runner, tmp_path: Path
) -> None:
    """But for the interpreter of the script that the image starts, whose machine is checked."""
    require("strace")
    runner.push("--shell=keep")
    runner.app.edit(f"one more thing, for {runner.home}")
    path, trace = runner.app.build(), tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=execve,open,openat", "-o", str(trace))
    argv = [*strace, *runner.argv(), "--push", "--shell=keep"]
    subprocess.run(argv, env=runner.env(), capture_output=True, check=True)
    read = opened(trace, lambda program: not program.endswith(("/nix", "/git")))
    mine = {f"{path}/bin/app", f"{path}/share/app.py"}
    assert read >= mine
    assert [Path(file).name for file in read - mine] == ["bash"]


def test_what_was_put_together_there_is_the_image(runner: Runner, tmp_path: Path) -> None:
    """As whole as one that was built here without a registry, with the same digest."""
    runner.push()
    runner.app.edit(f"another thing, for {runner.home}")
    pushed = runner.push()
    layout = tmp_path / "here"
    argv = [NIX2OCI, "build", runner.app.installable, "--tag=app:1", "-o", str(layout)]
    subprocess.run(argv, env=runner.env(), capture_output=True, check=True)
    assert Layout(layout).descriptor["digest"] == pushed["digest"]
    back = fetched(runner.registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert back.descriptor["digest"] == pushed["digest"]
    assert [f for f in validate_layout(str(back.path)) if f.level == "error"] == []


def test_a_shell_takes_the_reference_from_stdout_and_podman_runs_it(
    runner: Runner, podman_engine: ClientEngine
) -> None:
    runner.push()
    runner.app.edit("hello from the registry")
    build = shlex.join([NIX2OCI, "build", runner.app.installable, "--tag=app:1", "--no-cache"])
    options = ("run", "--rm", "--tls-verify=false", "--network=none", *podman_engine.limits)
    run = shlex.join([*podman_engine.client, *options])
    done = subprocess.run(
        ["sh", "-c", f'{run} "$({build} --push)"'],
        env=runner.env(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "hello from the registry\n"), done.stderr


def test_a_second_repository_takes_layers_from_the_first(runner: Runner) -> None:
    runner.push()
    first, sent = f"{runner.registry.host}/team/app:1", len(runner.registry.puts())
    other = f"{runner.registry.host}/other/app:2"
    document = runner.push(other, "--reuse", first, "--trust-reuse", "registry")
    assert document["reference"].startswith(f"{runner.registry.host}/other/app@sha256:")
    assert [layer["reused"] for layer in document["layers"]].count(False) == 1
    assert len(runner.registry.puts()) == sent + 2, "last layer and configuration"
    output("skopeo", "inspect", "--tls-verify=false", f"docker://{other}")


def test_an_attached_document_says_what_is_in_the_layers(runner: Runner, tmp_path: Path) -> None:
    """Of real programs; references are as Nix recorded them, and as files have them."""
    document = runner.push("--attach=contents")
    name, here = f"{runner.registry.host}/team/app:1", str(tmp_path / "here")
    argv = [*runner.argv(), "--attach=contents", "-o", here]
    subprocess.run(argv, env=runner.env(), capture_output=True, check=True)

    def shown(image: str, command: str, *more: str) -> Any:
        argv = [NIX2OCI, command, image, *more, "--json"]
        done = subprocess.run(argv, env=runner.env(), capture_output=True, check=True)
        return json.loads(done.stdout)

    read, known = shown(here, "inspect"), shown(name, "inspect")
    assert (read["read"], known["read"]) == (True, False)
    assert read["digest"] == known["digest"] == document["digest"]
    listed = [
        [(layer["digest"], sorted(layer["paths"])) for layer in each["layers"]]
        for each in (read, known)
    ]
    assert listed[0] == listed[1]
    paths = sorted({path for layer in read["layers"] for path in layer["paths"]})
    for path in paths[:: max(1, len(paths) // 4)]:
        (one,), (other,) = (shown(image, "why", path)["paths"] for image in (here, name))
        for each in (one, other):
            for step in (step for chain in each["chains"] for step in chain["steps"]):
                del step["files"]
        assert one == other
    assert not shown(here, "diff", name)["differ"]
    log = (runner.registry.state / "log").read_text()
    got = re.findall(r'"GET /v2/team/app/blobs/(\S+) HTTP', log)
    assert not {layer["digest"] for layer in read["layers"]} & set(got)
