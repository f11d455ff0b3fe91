"""Every recipe of docs/kubernetes.md as it stands; the other tools do what their contracts say.

They are small programs on PATH that give what they have rendered to what the page makes of it, and
keep what comes back.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fakeengine import FakeEngine
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.paths import DOCS
from support.pushbuild import Shop
from support.terminal import NIX2OCI, Completed

PAGE = (DOCS / "kubernetes.md").read_text()
RENDERED = "# Source: chart/templates/pod.yaml\nkind: Pod\nimage: 'nix2oci://.#app'\n"

TOOLS = {
    "nix2oci": 'exec {nix2oci} "$@" --store {store}',
    "kubectl": 'case $1 in kustomize) cat rendered.yaml ;; apply) cat >"$KEPT/applied" ;; esac',
    "docker": '[ "$1 $2 $3 $4 $5 $6" = "compose --project-directory . -f - up" ] && '
    'cat >"$KEPT/applied"',
    # Gives the post-renderer what it has rendered, and applies what that prints.
    "helm": """
renderer='' words=''
while [ $# -gt 0 ]; do
  case $1 in
    --post-renderer) renderer=$2; shift ;;
    --post-renderer-args) words="$words $2"; shift ;;
  esac
  shift
done
made=$("$renderer" $words <rendered.yaml) && printf '%s\\n' "$made" >"$KEPT/applied"
""",
}


def block(heading: str, language: str, number: int = 0) -> str:
    """A block of code below a heading; the first where there are several."""
    section = re.search(rf"^{heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    found = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    return str(found[number])


@dataclass(frozen=True)
class Desk:
    """A directory where someone types what the page says."""

    shop: Shop
    kept: Path
    engine: FakeEngine

    @property
    def here(self) -> Path:
        return self.shop.terminal.directory

    def run(self, script: str, text: str = "", **more: str) -> Completed:
        """Run a script of the shell, with the tools; the registry of the page is ours."""
        fake = self.shop.terminal.fake
        path = f"{fake.bin}:{self.kept.parent}/tools:{self.kept.parent}/bin:/usr/bin:/bin"
        env = {
            **self.shop.terminal.env(**self.shop.env()),
            "PATH": path,
            "KEPT": str(self.kept),
            "NIX2OCI_REPO": self.repository,
            **more,
        }
        done = subprocess.run(
            ["sh", "-c", script.replace("registry.example.com/team", self.repository)],
            cwd=self.here, env=env, input=text, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    @property
    def repository(self) -> str:
        return f"{self.shop.registry.registry}/team"

    @property
    def reference(self) -> str:
        (digest,) = {name for _, name in self.shop.registry.manifests if "sha256:" in name}
        return f"{self.repository}/app@{digest}"

    @property
    def applied(self) -> str:
        return (self.kept / "applied").read_text()

    def resolved(self, text: str) -> str:
        return text.replace("nix2oci://.#app", self.reference)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for name in ("kept", "tools"):
        (tmp_path / name).mkdir()
    with running(FakeRegistry()) as registry:
        made = Desk(Shop.make(tmp_path, registry), tmp_path / "kept", FakeEngine(tmp_path))
        for name, script in TOOLS.items():
            words = {"{nix2oci}": NIX2OCI, "{store}": str(made.shop.terminal.fake.root)}
            for word, meaning in words.items():
                script = script.replace(word, meaning)  # noqa: PLW2901  # one after the other
            if name == "docker":  # what is no compose is for the engine
                script = f'[ "$1" = compose ] || exec {tmp_path}/bin/docker "$@"\n{script}'  # noqa: PLW2901
            (tmp_path / "tools" / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "tools" / name).chmod(0o755)
        (made.here / "rendered.yaml").write_text(RENDERED)
        yield made


def test_kubectl_applies_what_is_resolved(desk: Desk) -> None:
    text = block("# Kubernetes manifests", "yaml")
    (desk.here / "k8s").mkdir()
    (desk.here / "k8s/shop.yaml").write_text(text)
    desk.run(block("# Kubernetes manifests", "sh"))
    assert desk.applied == desk.resolved(text)


def test_helm_3_has_a_post_renderer(desk: Desk) -> None:
    desk.run(block("## Helm", "sh"))
    assert desk.applied == desk.resolved(RENDERED)


def test_helm_4_has_a_plugin(desk: Desk) -> None:
    plugin = yaml.safe_load(block("## Helm", "yaml"))
    assert (plugin["type"], plugin["runtime"]) == ("postrenderer/v1", "subprocess")
    (command,) = plugin["runtimeConfig"]["platformCommand"]
    done = desk.run(" ".join([command["command"], *command["args"]]), RENDERED)
    assert done.stdout == desk.resolved(RENDERED)


def test_kustomize_is_followed_by_a_filter(desk: Desk) -> None:
    desk.run(block("## kustomize", "sh"))
    assert desk.applied == desk.resolved(RENDERED)


def test_kustomize_has_a_transformer(desk: Desk) -> None:
    """It gives a function a list of resources, and takes one."""
    config = block("## kustomize", "yaml")
    function = yaml.safe_load(config)["metadata"]["annotations"]["config.kubernetes.io/function"]
    script = desk.here / yaml.safe_load(function)["exec"]["path"]
    script.write_text(block("## kustomize", "sh", 1))
    script.chmod(0o755)
    resources = {"kind": "ResourceList", "items": [yaml.safe_load(RENDERED)]}
    text = yaml.safe_dump({**resources, "functionConfig": yaml.safe_load(config)})
    assert desk.run(str(script), text).stdout == desk.resolved(text)


@pytest.mark.parametrize("platforms", ["", "linux/amd64"])
def test_skaffold_has_an_image_pushed(desk: Desk, platforms: str) -> None:
    run_skaffold(desk, PUSH_IMAGE="true", PLATFORMS=platforms)
    assert ("team/app", "v1") in desk.shop.registry.manifests


def test_skaffold_has_an_image_in_docker(desk: Desk) -> None:
    run_skaffold(desk, PUSH_IMAGE="false", PLATFORMS="")
    assert desk.engine.calls[1][:2] == ["docker", "load"]
    assert desk.engine.calls[-1][-1] == f"{desk.repository}/app:v1"


def run_skaffold(desk: Desk, **env: str) -> None:
    (artifact,) = yaml.safe_load(block("## skaffold", "yaml"))["build"]["artifacts"]
    (desk.here / "skaffold.sh").write_text(block("## skaffold", "sh"))
    image = artifact["image"].replace("registry.example.com/team", desk.repository)
    context = {"IMAGE": f"{image}:v1", "BUILD_CONTEXT": str(desk.here)}
    desk.run(artifact["custom"]["buildCommand"], **context, **env)


@pytest.mark.parametrize("number", [0, 1], ids=["this machine's Docker", "a registry"])
def test_tilt_gets_the_image_that_it_expects(desk: Desk, number: int) -> None:
    calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def custom_build(name: str, command: str, **more: object) -> None:
        calls.append((name, command, more))

    names: dict[str, Callable[..., None]] = {"custom_build": custom_build}
    exec(block("## Tilt", "python", number), {}, names)  # a Tiltfile is Python, nearly
    ((name, command, more),) = calls
    expected = name.replace("registry.example.com/team", desk.repository) + ":tilt-build-1"
    desk.run(command, EXPECTED_REF=expected)
    if more.get("skips_local_docker"):
        assert ("team/app", "tilt-build-1") in desk.shop.registry.manifests
    else:
        assert desk.engine.calls[-1][-1] == "app:tilt-build-1"


def test_compose_reads_it_from_its_standard_input(desk: Desk) -> None:
    text = block("## Compose", "yaml")
    (desk.here / "compose.yaml").write_text(text)
    desk.run(block("## Compose", "sh"))
    assert desk.applied == desk.resolved(text)


def test_argo_cd_finds_it_in_git_or_calls_a_plugin(desk: Desk) -> None:
    for name in ("k8s/base", "rendered"):
        (desk.here / name).mkdir(parents=True)
    (desk.here / "k8s/base/pod.yaml").write_text(RENDERED)
    heading = "## Argo CD and Flux"
    desk.run(block(heading, "sh"))
    assert (desk.here / "rendered/all.yaml").read_text() == desk.resolved(RENDERED)
    generate = yaml.safe_load(block(heading, "yaml"))["spec"]["generate"]
    assert generate["command"] == ["sh", "-c"]
    assert desk.run(*generate["args"]).stdout == desk.resolved(RENDERED)
