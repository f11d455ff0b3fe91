"""`--github`: what a job of GitHub Actions is told of images that were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry, error
from support.fakeserver import running
from support.github_files import outputs_of
from support.pushing import REPOSITORY
from support.terminal import Completed, Terminal
from support.two_systems import BOTH, place

from nix2oci.report.github_job import job_outputs


class Job:
    """A terminal as a job has it, with the two files."""

    def __init__(self, terminal: Terminal, scratch: Path) -> None:
        self.terminal = terminal
        self.output, self.summary = scratch / "output", scratch / "summary"
        self.output.write_text("earlier=1\n")

    def run(self, *args: str, **env: str) -> Completed:
        files = {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        return self.terminal.run(*args, "--github", **files | env)

    def outputs(self) -> dict[str, str]:
        return outputs_of(self.output.read_text())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(Terminal.make(tmp_path), tmp_path)


def test_outputs_come_behind_those_of_an_earlier_step(job: Job) -> None:
    done = job.run("build", ".#app", "--tag", "1.0", "--tag", "latest", "--json")
    document = json.loads(done.stdout)
    assert job.outputs() == {
        "earlier": "1",
        "reference": "oci:app.oci:1.0",
        "references": "oci:app.oci:1.0\noci:app.oci:latest",
        "digest": document["digest"],
    }


def test_the_summary_has_layers_and_what_was_sent(job: Job) -> None:
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        first = json.loads(job.run("build", ".#app", "--push", name, "--json").stdout)
        said = job.summary.read_text()
        job.run("build", ".#app", "--push", name, "--no-cache", "--labels", "a=b")
    again = job.summary.read_text().removeprefix(said)
    assert said.startswith(f"### `{first['reference']}`\n\n")
    assert outcomes(said) == ["sent"] * len(first["layers"])
    assert outcomes(again)[0] == "there"
    assert rows(said)[-1].endswith("| the root file system |")


def outcomes(summary: str) -> list[str]:
    return [row.split(" | ")[2] for row in rows(summary)]


def rows(summary: str) -> list[str]:
    return [line for line in summary.splitlines() if line.startswith(("| 1 ", "| 2 ", "| 3 "))]


def test_each_platform_has_its_layers(tmp_path: Path) -> None:
    job = Job(place(tmp_path), tmp_path)
    done = job.run("build", ".#app", *BOTH)
    assert done.returncode == 0, done.stderr
    said = job.summary.read_text()
    assert said.count("### ") == 1
    assert [line.partition(":")[0] for line in said.splitlines() if line.startswith("linux/")] == [
        "linux/amd64", "linux/arm64",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_anywhere_else_it_is_an_error_before_anything_is_built(job: Job, missing: str) -> None:
    done = job.run("build", ".#app", **{missing: ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: cannot use --github: this is no job of GitHub Actions, "
        f"{missing} is not set\nhint: elsewhere --metadata FILE has the same\n"
    )


def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_built(job: Job) -> None:
    done = job.run("build", ".#app", GITHUB_OUTPUT="/nowhere/output")
    assert (done.returncode, done.stdout) == (8, "")
    assert "error: cannot write /nowhere/output: No such file or directory\n" in done.stderr
    assert "building with Nix" not in done.stderr


def test_a_push_that_fails_leaves_both_as_they_were(job: Job) -> None:
    with running(FakeRegistry()) as registry:
        registry.script("PUT", "/manifests/", error(400, "MANIFEST_INVALID"), always=True)
        done = job.run("build", ".#app", "--push", f"{registry.registry}/{REPOSITORY}:1.0")
    assert done.returncode == 6
    assert job.output.read_text() == "earlier=1\n"
    assert not job.summary.exists() or job.summary.read_text() == ""


def test_no_name_ends_a_value_early() -> None:
    odd = "oci:a\nend-of-reference\ndigest=forged:1"
    text = job_outputs([{"references": [odd], "digest": "sha256:1"}])
    assert outputs_of(text) == {"reference": odd, "references": odd, "digest": "sha256:1"}
