"""`--github`: outputs and summary, where the job of GitHub Actions looks for them."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci.cli import context
from nix2oci.errors import ConfigError
from nix2oci.publish.write_file import append_to_file
from nix2oci.report.github_job import Document, job_outputs, job_summary

_FILES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")


def check_job() -> None:
    """Raise where `tell_job` would: now, not after an hour of building."""
    for path in _files():
        append_to_file(path, b"")


def tell_job(documents: Sequence[Document]) -> None:
    """Append what `build --json` prints of images, in the job's own form; `OutputError`."""
    for path, text in zip(_files(), (job_outputs(documents), job_summary(documents)), strict=True):
        append_to_file(path, text.encode(errors="backslashreplace"))


def _files() -> list[str]:
    env = context.environment()
    if missing := [name for name in _FILES if not env.get(name)]:
        raise ConfigError(
            f"cannot use --github: this is no job of GitHub Actions, {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set",
            hint="elsewhere --metadata FILE has the same",
        )
    return [env[name] for name in _FILES]
