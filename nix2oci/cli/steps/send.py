"""Pushing an image, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.registry_run import registry_run
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.early_uploads import EarlyUploads
from nix2oci.oci.registry.push import Known, Pushed, push
from nix2oci.oci.registry.push_set import PushSet
from nix2oci.report.images import sent_bytes


def send(
    push_set: PushSet,
    blobs: Blobs,
    to: Sequence[Reference],
    *,
    registry: RegistryOptions,
    output: OutputOptions,
    arrived: list[Reference],
    mount_from: Sequence[str] = (),
    known: Known | None = None,
    early: EarlyUploads | None = None,
) -> Pushed:
    """Push to references of one repository, and say what comes of it; raises what `push` raises.

    `arrived` gets each tag that names the image.
    """
    first, *others = to
    tags = [each.tag for each in others if each.tag]
    shown = ", ".join([str(first), *(f":{tag}" for tag in tags)])
    progress = console.progress(output)
    begun = context.now().timestamp()
    run = registry_run(registry, output)
    with progress.bytes(f"pushing to {shown}", push_set.size) as counter, run.moving(counter):
        pushed = push(
            *(push_set, blobs, first, run.clients),
            more_tags=tags,
            mount_from=mount_from,
            known=known,
            early=early,
            arrived=arrived.append,
        )
    began = early.began if early else None
    seconds = context.now().timestamp() - (began or begun)
    progress.step(_summary(push_set, pushed, seconds))
    return pushed


def _summary(push_set: PushSet, pushed: Pushed, seconds: float) -> str:
    sent = sent_bytes(push_set, pushed)
    outcomes = list(pushed.outcomes.values())
    rest = [
        f"{outcomes.count(outcome)} {words}"
        for outcome, words in (("there", "there already"), ("mounted", "from another repository"))
        if outcome in outcomes
    ]
    number = outcomes.count("sent")
    words = f"sent {text.count(number, 'blob')}, {text.size(sent)}" if number else "sent no blob"
    rate = f" in {seconds:.1f} s, {text.size(int(sent / seconds))}/s" if number and seconds else ""
    return "; ".join([words + rate, *rest])
