"""Images that exist: what was found in one, pushed or joined, as `--json` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nix2oci.oci.layer.compression import stored_as
from nix2oci.oci.layer.untar import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, SYMLINK
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Digest, Index, canonical_json
from nix2oci.plan.shell_record import whole_record
from nix2oci.trust.bundle import PREDICATE_TYPE

if TYPE_CHECKING:  # what speaks to registries takes long to load
    from nix2oci.compare.image_contents import Inspected
    from nix2oci.compare.image_listing import Listed
    from nix2oci.oci.artifact import Artifact
    from nix2oci.oci.registry.push import Pushed
    from nix2oci.oci.registry.push_set import PushSet
    from nix2oci.oci.validate.finding import Finding
    from nix2oci.publish.pull import Pulled


def image_document(found: Inspected) -> dict[str, object]:
    """What was found in an image; sizes in bytes, layers base layer first."""
    source = found.source
    return {
        "digest": str(source.descriptor.digest),
        "media_type": source.descriptor.media_type,
        "annotations": dict(source.manifest().annotations),
        "config": source.config().fields.values,
        "layers": [
            {
                "digest": str(layer.digest),
                "media_type": layer.media_type,
                "compression": stored_as(layer.media_type, layer.annotations),
                "size": layer.size,
                "entries": contents.entries,
                "paths": dict(sorted(contents.store_paths.items())),
            }
            for layer, contents in found.by_layer
        ],
        "read": found.is_read,
        "launchers": [f"/{path}" for path in found.launchers],
        "slim": list(found.slim_rules),
        "shell": whole_record(found.shell_record),
    }


_TYPES = {
    FILE: "file",
    DIRECTORY: "directory",
    SYMLINK: "link",
    CHARACTER_DEVICE: "character device",
    BLOCK_DEVICE: "block device",
    FIFO: "fifo",
}


def listing_document(found: Sequence[Listed]) -> dict[str, object]:
    """Files of an image, as `ls` shows them."""
    return {"files": [_listed_document(each) for each in found]}


def _listed_document(listed: Listed) -> dict[str, object]:
    inode, member = listed.inode, listed.inode.member
    return {
        "path": _name(listed.path),
        "type": "file" if inode.is_file else _TYPES.get(member.kind, "unknown"),
        "mode": f"{member.mode:04o}",
        "uid": member.uid,
        "gid": member.gid,
        "user": listed.user,
        "group": listed.group,
        "size": listed.size,
        "mtime": member.mtime,
        "target": None if inode.target is None else _name(inode.target),
        "device": list(member.device) if max(member.device) else None,
        "layer": listed.layer,
    }


def _name(path: bytes) -> str:
    """What is no UTF-8 is shown by its numbers: many who read JSON take nothing else."""
    return path.decode(errors="backslashreplace")


def pushed_document(
    sent: Sequence[tuple[PushSet, Pushed]], to: Sequence[Reference]
) -> dict[str, object]:
    """What `--json` prints of an image that was sent to one repository or more.

    `to` are the references in the order that they are printed in.
    """
    named = sent[0][1].descriptor
    lines = pushed_references(to, named.digest)
    return {
        "reference": lines[0],
        "references": list(lines),
        "tag": to[0].tag,
        "digest": str(named.digest),
        "media_type": named.media_type,
        "sent": sum(sent_bytes(*each) for each in sent),
        "blobs": [
            {
                "digest": str(blob.digest),
                "media_type": blob.media_type,
                "size": blob.size,
                "repository": str(pushed.place),
                "outcome": pushed.outcomes[blob.digest],
            }
            for push_set, pushed in sent
            for blob in push_set.blobs
        ],
    }


def attached_documents(artifacts: Sequence[Artifact]) -> list[dict[str, object]]:
    """What is attached to manifests, in the order in which scanners look."""
    return [
        {
            "subject": str(each.subject.digest),
            "digest": str(each.descriptor.digest),
            "artifact_type": each.blob.media_type,
            "predicate_type": each.annotations.get(PREDICATE_TYPE),
            "size": each.blob.size,
        }
        for each in artifacts
    ]


def referrers_document(more: PushSet) -> dict[str, object]:
    """What was attached to an image that was there."""
    return {
        "attached": [
            {
                "subject": str(each.subject.digest) if each.subject else None,
                "digest": str(each.descriptor.digest),
                "artifact_type": each.referrer().get("artifactType"),
            }
            for each in more.referrers
        ],
        "signature_tags": [each.tag for each in more.signatures],
    }


def pushed_references(to: Sequence[Reference], digest: Digest) -> tuple[str, ...]:
    """What is printed of places that an image was pushed to.

    Where there are several, the tag tells them apart; what is pulled is the digest in any case.
    """
    tags = [f":{each.tag}" if each.tag and len(to) > 1 else "" for each in to]
    return tuple(f"{Repository.of(each)}{tag}@{digest}" for each, tag in zip(to, tags, strict=True))


def sent_bytes(push_set: PushSet, pushed: Pushed) -> int:
    """Bytes of the blobs that the registry did not have."""
    return sum(blob.size for blob in push_set.blobs if pushed.outcomes[blob.digest] == "sent")


def pulled_document(pulled: Pulled, written: str | None) -> dict[str, object]:
    """An image that was pulled, and where it is; nowhere when it went to stdout."""
    chosen = pulled.pull_set.chosen
    return {
        "reference": written,
        "name": str(pulled.reference),
        "digest": str(chosen.digest),
        "media_type": chosen.media_type,
        "size": pulled.pull_set.size,
        "fetched": sum(blob.size for blob in pulled.fetched),
    }


def finding_document(finding: Finding) -> dict[str, object]:
    """One thing that is wrong with an image."""
    return {
        "level": finding.level,
        "code": finding.code,
        "where": finding.where,
        "message": finding.message,
    }


def index_document(index: Index, name: Reference, references: Sequence[str]) -> dict[str, object]:
    """The index of several images, and where it is; nowhere when it went to stdout."""
    return {
        "reference": references[0] if references else None,
        "references": list(references),
        "name": str(name.tagged()),
        "digest": str(Digest.of(canonical_json(index.to_json()))),
        "manifests": [
            {
                "platform": str(manifest.platform) if manifest.platform else None,
                "digest": str(manifest.digest),
            }
            for manifest in index.manifests
        ],
    }
