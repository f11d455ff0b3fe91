"""`nix2oci push`: an image, or an index, from a file to a registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from nix2oci.cli import options, registries, ui
from nix2oci.errors import ConfigError
from nix2oci.oci.layout.source import Blobs, open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.push import Pushed, PushSet, push, read_push_set


@click.command("push")
@click.argument("image")
@click.argument("ref")
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many blobs are sent at once.",
)
@click.option(
    "--mount-from",
    metavar="REPOSITORY",
    multiple=True,
    help="A repository of the same registry that may have some of the layers already.",
)
@registries.registry_options
@options.output_options
def command(image: str, ref: str, **values: Any) -> None:
    """Push IMAGE to a registry as REF, and print the reference that has its digest.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed.
    REF is REGISTRY/REPOSITORY:TAG. Credentials are those of docker and podman, or of the variables
    NIX2OCI_USERNAME and NIX2OCI_PASSWORD.
    """
    to = registries.reference(ref)
    if to.tag is None and to.digest is None:
        to = replace(to, tag="latest")
    others = [_repository(text) for text in values["mount_from"]]
    layout, tag = open_layout(image)
    push_set = read_push_set(layout, tag)
    pushed = send(push_set, layout.blobs, to, values, jobs=values["jobs"], others=others)
    if values["as_json"]:
        ui.echo_json(pushed_document(push_set, pushed))
    else:
        click.echo(str(pushed))


def send(
    push_set: PushSet,
    blobs: Blobs,
    to: Reference,
    values: dict[str, Any],
    *,
    jobs: int = 4,
    others: Sequence[str] = (),
    told: set[str] | None = None,
) -> Pushed:
    """Push, and say what comes of it; raises what `push` raises.

    A line about the registry that is in `told` is not said again; what is said is added to it.
    """
    progress = ui.progress(quiet=values["quiet"])
    begun = datetime.now(UTC)
    with progress.bytes(f"pushing to {to}", push_set.size) as counter:
        heard = registries.once(counter, told) if told is not None else counter
        access = registries.access(values, jobs=jobs, counter=heard)
        pushed = push(push_set, blobs, to, access, others)
    seconds = (datetime.now(UTC) - begun).total_seconds()
    progress.step(_summary(push_set, pushed, seconds))
    return pushed


def _repository(text: str) -> str:
    if Reference.parse(text) != Reference(text):
        raise ConfigError(
            f"cannot mount from '{text}': it is more than a repository",
            hint="name it as REF does, without the registry and the tag",
        )
    return text


def _sent(push_set: PushSet, pushed: Pushed) -> int:
    """Bytes."""
    return sum(blob.size for blob in push_set.blobs if pushed.outcomes[blob.digest] == "sent")


def _summary(push_set: PushSet, pushed: Pushed, seconds: float) -> str:
    sent = _sent(push_set, pushed)
    outcomes = list(pushed.outcomes.values())
    rest = [
        f"{outcomes.count(outcome)} {words}"
        for outcome, words in (("there", "there already"), ("mounted", "from another repository"))
        if outcome in outcomes
    ]
    number = outcomes.count("sent")
    words = f"sent {ui.count(number, 'blob')}, {ui.size(sent)}" if number else "sent no blob"
    rate = f" in {seconds:.1f} s, {ui.size(int(sent / seconds))}/s" if number and seconds else ""
    return "; ".join([words + rate, *rest])


def pushed_document(push_set: PushSet, pushed: Pushed) -> dict[str, Any]:
    """What `--json` prints of a push."""
    return {
        "reference": str(pushed),
        "tag": pushed.tag,
        "digest": str(pushed.descriptor.digest),
        "media_type": pushed.descriptor.media_type,
        "sent": _sent(push_set, pushed),
        "blobs": [
            {
                "digest": str(blob.digest),
                "media_type": blob.media_type,
                "size": blob.size,
                "outcome": pushed.outcomes[blob.digest],
            }
            for blob in push_set.blobs
        ],
    }
