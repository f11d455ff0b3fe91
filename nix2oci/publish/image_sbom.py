"""The bill of materials of an image that exists, whoever made it: of its files and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from nix2oci.errors import ClosureError, LayoutError
from nix2oci.model.annotation_keys import SHELL
from nix2oci.model.closure import StorePath, format_nar_hash, store_path_of
from nix2oci.oci.base_image import BASE_DIGEST, BASE_NAME
from nix2oci.oci.fields import Fields, parse_object
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import PREDEFINED, REF_NAME
from nix2oci.text import display, printable
from nix2oci.trust.components import BaseComponent, Bill, LanguagePackage, StoreComponent, Subject
from nix2oci.trust.image_scan import ImageFiles, read_image_files

UNKNOWN = (
    "derivers, licences, home pages, CPEs and patches of store paths: an image records none",
    "references that no file shows: they are found as Nix finds them, in the files that are there",
)
_NO_RECORD = "store paths that were left out, and files that were replaced: the image has no record"
_OTHERS = "packages of other package managers, such as those of a distribution: they are not read"


def image_bill(source: ImageSource, workers: int) -> Bill:
    """What the layers, the configuration and the annotations say.

    Every layer is read once, `workers` at once. Raises `OutputError` and `LayoutError`.
    """
    manifest, config, layers = source.manifest(), source.config(), source.layers()
    files = read_image_files(source, layers, workers)
    subject = Subject(
        _name(source),
        source.descriptor.digest,
        _time(config.created or ""),
        source.platform(),
        described(manifest.annotations),
    )
    shells = _shell_record(manifest.annotations)
    replaced: dict[str, list[str]] = {}
    for file in sorted(_replaced(shells)):
        replaced.setdefault("/".join(file.split("/")[:4]), []).append(file)
    components = _components(files, [str(each) for each in config.diff_ids], replaced)
    referred = {other for each in components for other in each.references}
    digest, base = (
        manifest.annotations.get(BASE_DIGEST, ""),
        manifest.annotations.get(BASE_NAME, ""),
    )
    return Bill(
        subject,
        tuple(each.path for each in components if each.path not in referred),
        components,
        tuple(sorted(_language_packages(files).get(None, ()))),
        BaseComponent(printable(base), printable(digest)) if base or digest else None,
        tuple(sorted(_dropped(shells))),
        (*UNKNOWN, *([] if shells else [_NO_RECORD]), _OTHERS),
    )


def described(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What annotations with predefined keys say of an image; those about its base left out."""
    return tuple(
        (key, printable(value))
        for key, value in sorted(annotations.items())
        if key.startswith(PREDEFINED) and key not in (BASE_NAME, BASE_DIGEST) and value
    )


def _components(
    files: ImageFiles, diff_ids: Sequence[str], replaced: Mapping[str, Sequence[str]]
) -> tuple[StoreComponent, ...]:
    paths = {path: text for text in files.store_paths if (path := _parsed(text))}
    by_part = {path.hash_part: path for path in paths}
    packages = _language_packages(files)
    found = []
    for path in sorted(paths):
        text = paths[path]
        named = (by_part.get(part) for part in files.merged.mentions.get(text, ()))
        number = files.store_paths[text]
        nar_hash = files.nar_hashes.get(text)
        found.append(
            StoreComponent(
                path,
                tuple(sorted({each for each in named if each and each != path})),
                format_nar_hash(nar_hash) if nar_hash else "",
                diff_ids[number] if number < len(diff_ids) else "",
                replaced=tuple(replaced.get(text, ())),
                packages=tuple(packages.get(path, ())),
            )
        )
    return tuple(found)


def _language_packages(files: ImageFiles) -> dict[StorePath | None, list[LanguagePackage]]:
    """By store path; of files outside of any under None."""
    found: dict[StorePath | None, list[LanguagePackage]] = {}
    stores = {str(path.store_dir): path for path in map(_parsed, files.store_paths) if path}
    for file in sorted(files.packages):
        absolute = "/" + display(file)
        owners = (store_path_of(absolute, store) for store in stores)
        owner = next((path for path in owners if path), None)
        for each in files.packages[file]:
            package = LanguagePackage(absolute, each.kind, each.name, each.version, each.license)
            found.setdefault(owner, []).append(package)
    return found


def _parsed(text: str) -> StorePath | None:
    try:
        return StorePath.parse(text)
    except ClosureError:
        return None


def _name(source: ImageSource) -> str:
    """The last part of its repository, as its index or the user names it; else that of its file."""
    notes = source.descriptor.annotations
    tag = notes.get(REF_NAME, "")
    full = notes.get(CONTAINERD_NAME) or (tag if "/" in tag else "") or source.where
    last = printable(full).partition("@")[0].rstrip("/").rpartition("/")[2].partition(":")[0]
    return last.removesuffix(".tar").removesuffix(".oci") or "image"


def _time(text: str) -> datetime:
    """The time of the configuration, which has to be RFC 3339; without one the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# --- what nix2oci wrote down about shells -------------------------------------------------------


def _shell_record(annotations: Mapping[str, str]) -> Fields | None:
    note = annotations.get(SHELL)
    try:
        return Fields.of(parse_object(note.encode(), SHELL)) if note else None
    except LayoutError:
        return None


def _dropped(record: Fields | None) -> Iterator[StorePath]:
    for each in record["dropped"].objects() if record else ():
        if path := _parsed(each["path"].text() or ""):
            yield path


def _replaced(record: Fields | None) -> Iterator[str]:
    for each in record["wrappers"].objects() if record else ():
        if each["became"].text() == "launcher" and (file := each["file"].text()):
            yield printable(file)
