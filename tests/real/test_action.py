"""The steps of action.yml, run by a shell, with a registry of their own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from real.engines import output
from real.images import NIX2OCI
from real.pipelines import Runner, StepError, checkout
from real.registries import HTPASSWD, Registry, serving
from support.fakeregistry import PASSWORD, USER
from support.paths import ROOT
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

STEPS = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry") / "state") as registry:
        yield registry


@pytest.fixture(scope="module")
def runner(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """With nix2oci installed, as the first step does it; the launchers are not compiled again."""
    require("bash", "git", "jq", "nix")
    home = tmp_path_factory.mktemp("runner")
    launchers = str(ROOT / "nix2oci/launcher")
    environment = {**os.environ, "NIX2OCI_LAUNCHERS": launchers}  # noqa: TID251
    environment.pop("XDG_CACHE_HOME", None)
    runner = Runner(home, checkout(distro, home / "checkout"), environment)
    runner.run(only="install")
    return runner


def digest(reference: str) -> str:
    require("skopeo")
    argv = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
    return output(*argv, f"docker://{reference}").strip()


def test_a_linter_of_shells_finds_nothing_in_the_steps(tmp_path: Path) -> None:
    require("shellcheck")
    scripts = [step["run"] for step in STEPS if "run" in step]
    for number, script in enumerate(scripts):
        (tmp_path / f"{number}.sh").write_text(f"#!/bin/bash\nset -eo pipefail\n{script}")
    output("shellcheck", "--exclude=SC2016", *sorted(tmp_path.iterdir()))


def test_without_nix_the_first_step_says_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bash").symlink_to("/bin/bash")
    with pytest.raises(StepError, match=r"::error::nix2oci needs Nix: a step before this one"):
        Runner(tmp_path, tmp_path, {"PATH": str(tmp_path / "bin")}).run(installables=".#app")


def test_a_first_push_has_outputs_and_a_summary(runner: Runner, registry: Registry) -> None:
    tag = f"{registry.host}/first/app:1"
    outputs, summary = runner.run(installables=".#app", push=tag)
    reference = f"{registry.host}/first/app@{digest(tag)}"
    document = json.loads(Path(outputs.pop("metadata")).read_text())
    assert outputs == {"reference": reference, "references": reference, "digest": digest(tag)}
    assert f"### `{reference}`\n\n{document['pushed']['sent'] / 1e6:.1f} MB sent\n" in summary
    rows = re.findall(r"^\| (\d+) \| [\d.]+ [kM]?B \| (\w+) \| (.*) \|$", summary, re.MULTILINE)
    assert len(rows) == len(document["layers"])
    assert {outcome for _, outcome, _ in rows} == {"sent"}
    assert [paths.partition("-")[0] for _, _, paths in rows] == [
        "glibc",
        "hello",
        "the root file system",
    ]
    assert "Since" not in summary


def test_what_is_kept_for_the_next_run_is_there_and_has_a_key(
    runner: Runner, registry: Registry
) -> None:
    runner.run(installables=".#app\n.#app", push=f"{registry.host}/kept/app:1")
    kept = runner.used[-1]
    assert [*Path(kept["path"]).iterdir()]
    assert re.fullmatch(r"nix2oci-X64-[0-9a-f]{16}-0{40}", kept["key"])
    assert kept["key"].startswith(kept["restore-keys"])
    runner.run(installables=".#app", push=f"{registry.host}/kept/app:1", cache_size="0")
    assert runner.used[-1] is kept


def test_a_second_push_says_what_changed_and_sends_no_layer_that_is_there(
    runner: Runner, registry: Registry
) -> None:
    tag = f"{registry.host}/second/app:main"
    runner.run(installables=".#app", push=tag)
    before = digest(tag)
    outputs, summary = runner.run(
        installables=".#app", push=tag, arguments="--env\nGREETING=hi all"
    )
    assert outputs["digest"] == digest(tag) != before
    assert f"#### Since `{registry.host}/second/app@{before}`" in summary
    assert "+ env GREETING  hi all" in summary
    assert "| sent |" not in summary
    assert " kB sent\n" in summary


def test_the_account_is_that_of_the_inputs(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"auth": {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}}
    with serving(tmp_path / "state", settings=auth) as closed:
        tag = f"{closed.host}/closed/app:1"
        with pytest.raises(StepError, match="it wants credentials"):
            runner.run(installables=".#app", push=tag)
        account = {"username": USER, "password": PASSWORD}
        runner.run(installables=".#app", push=tag, **account)
        outputs, summary = runner.run(installables=".#app", push=tag, **account)
        assert outputs["reference"].startswith(f"{closed.host}/closed/app@sha256:")
        assert summary.endswith("\nIt is the image that was there.\n")
        assert PASSWORD not in summary


def test_it_is_signed_and_has_what_is_to_be_attached(
    runner: Runner, registry: Registry, tmp_path: Path
) -> None:
    output("openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key")
    output("openssl", "pkey", "-in", tmp_path / "key", "-pubout", "-out", tmp_path / "key.pub")
    key = (tmp_path / "key").read_text()
    tag = f"{registry.host}/signed/app:1"
    outputs, summary = runner.run(
        installables=".#app", push=tag, attach="sbom,provenance", sign_key=key
    )
    verified = output(NIX2OCI, "verify", outputs["reference"], "--key", tmp_path / "key.pub")
    assert "signed" in verified
    listed = output(NIX2OCI, "inspect", outputs["reference"])
    assert {"cyclonedx", "spdx", "provenance", "signature"} <= set(listed.split())
    assert not {line for line in key.splitlines() if line in summary}


def test_several_tags_are_several_references(runner: Runner, registry: Registry) -> None:
    repository = f"{registry.host}/several/app"
    push = f"{repository}:1.0\n{repository}:latest\n"
    outputs, _ = runner.run(installables=".#app", push=push)
    tags = [f"{repository}:{tag}@{outputs['digest']}" for tag in ("1.0", "latest")]
    assert outputs["references"].splitlines() == tags


def test_every_image_of_a_flake_is_in_the_summary(runner: Runner, registry: Registry) -> None:
    outputs, summary = runner.run(
        installables=".", arguments="--all", push=f"{registry.host}/every"
    )
    assert re.fullmatch(rf"{registry.host}/every/\S+@{outputs['digest']}", outputs["reference"])
    assert outputs["reference"] in summary
    assert summary.count("<details>") == len(outputs["references"].splitlines()) == 1


def test_without_a_place_to_push_to_it_is_built_and_compared(
    runner: Runner, registry: Registry
) -> None:
    tag = f"{registry.host}/compared/app:main"
    runner.run(installables=".#app", push=tag)
    outputs, summary = runner.run(compare=tag, installables=".#app", arguments="--env=A=1")
    assert outputs["reference"].startswith("oci:")
    assert f"#### Since `{registry.host}/compared/app@{digest(tag)}`" in summary
    assert "+ env A  1" in summary
    assert " sent\n" not in summary


def test_what_cannot_be_built_fails_and_leaves_no_outputs(
    runner: Runner, registry: Registry
) -> None:
    tag = f"{registry.host}/none/app:1"
    with pytest.raises(StepError, match=r"error: .*nothing"):
        runner.run(installables=".#nothing", push=tag)


def test_an_input_is_never_a_command(runner: Runner, registry: Registry, tmp_path: Path) -> None:
    text = f"$(touch {tmp_path}/ran)`touch {tmp_path}/ran`; touch {tmp_path}/ran"
    names = ["installables", "push", "arguments", "compare", "username", "password"]
    names += ["attach", "sign_key"]
    for name in names:
        place = {"push": f"{registry.host}/command/app:1", "installables": ".#app"}
        try:
            runner.run(**{**place, name: text})
        except StepError:
            continue
    assert not (tmp_path / "ran").exists()
