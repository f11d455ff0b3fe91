"""What is attached to an image, in a registry that lists no referrers: docker-registry 2.8."""

from __future__ import annotations

import json
import re
from pathlib import Path

from real.registries import serving
from real.signed_image import tool
from support.signing import BUNDLE, CYCLONEDX, IN_TOTO, SPDX, KeyPair
from support.tools import require
from support.two_systems import BOTH, place

FLAGS = ("--attach=sbom,provenance", "--no-cache", "--json")


def test_all_is_listed_once_and_a_second_push_sends_nothing(tmp_path: Path) -> None:
    require("docker-registry", "oras", "openssl")
    terminal = place(tmp_path)
    key = KeyPair.make(terminal.directory)
    with serving(tmp_path / "state") as registry:
        to = f"{registry.host}/team/app:1"

        def push() -> dict[str, object]:
            flags = (*FLAGS, f"--sign-key={key.secret}", *BOTH)
            done = terminal.run("build", ".#app", "--push", to, *flags)
            assert done.returncode == 0, done.stderr
            made: dict[str, object] = json.loads(done.stdout)
            return made

        first = push()
        sent = puts(tmp_path / "state/log")
        assert push()["digest"] == first["digest"]
        assert puts(tmp_path / "state/log") == sent
        listed = tool(
            *("oras", "discover", "--plain-http", "--format=json", "--platform=linux/amd64", to),
            home=tmp_path,
        )
        kinds = [each["artifactType"] for each in json.loads(listed.stdout)["referrers"]]
        assert kinds == [CYCLONEDX, SPDX, IN_TOTO, *[BUNDLE] * 4]
        verified = terminal.run("verify", to, "--key", str(key.public))
        assert verified.returncode == 0, verified.stdout + verified.stderr


def puts(log: Path) -> int:
    """How many blobs and manifests were put, by the registry's own record."""
    return len(re.findall(r'"(?:PUT|PATCH) /v2/\S+ HTTP', log.read_text()))
