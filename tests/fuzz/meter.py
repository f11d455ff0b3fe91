"""Which lines of the readers are reached; loads nothing of what it measures."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import coverage

READERS = (
    *("cache/base_layers", "cache/bound", "cache/sealed_json", "config/lock", "config/reading"),
    *(
        "config/yaml_file",
        "config/yaml_scalars",
        "model/closure",
        "nix/json_output",
        "oci/artifacts",
        "oci/base_image",
    ),
    *("oci/documents", "oci/fields", "oci/index", "oci/reference", "oci/settings"),
    *("oci/layer/extract", "oci/layer/file_scan", "oci/layer/stream", "oci/layer/unpack"),
    *("oci/layer/untar", "oci/layer/whiteouts", "oci/layout/archive", "oci/layout/docker_archive"),
    *("oci/layout/source", "oci/layout/target_checks", "oci/registry/challenge"),
    *("oci/registry/credentials", "oci/registry/helpers", "oci/registry/manifests"),
    *("oci/registry/mirrors", "oci/registry/pull", "oci/registry/tokens", "host/http/urls"),
    *("oci/validate/check_artifact", "oci/validate/check_documents", "oci/validate/check_image"),
    *("oci/validate/interpreter", "oci/validate/layer_contents", "oci/validate/merged"),
    *("oci/validate/nar_hash", "oci/validate/check_chunks", "oci/validate/chunk_table"),
    *("oci/validate/frames", "oci/validate/tar_facts"),
    *("plan/layers/popularity", "host/regular_files"),
)
"""Modules that read what others wrote, whose lines count."""


def root() -> Path:
    """Where the program is."""
    spec = find_spec("nix2oci")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def measuring(data: Path) -> coverage.Coverage:
    """What notes the lines of readers, in files beside `data`."""
    return coverage.Coverage(
        data_file=str(data), config_file=False, include=[f"{root()}/{name}.py" for name in READERS]
    )
