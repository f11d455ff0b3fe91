"""What an image says of itself: name, entrypoint, environment, labels and annotations.

Pure: decided from what Nix knows of the packages, what the survey found in them, and the image
spec. The hard part is the entrypoint: it is what `nix run` would execute, or an error that lists
the choices; nothing is guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.closure_contents import ClosureContents, FoundFile
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import PREDEFINED, Digest, History, ImageConfig, Platform, rfc3339
from nix2oci.plan.layers.layering import LayerPlan
from nix2oci.plan.rootfs import CA_BUNDLE
from nix2oci.text import and_more, display

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAM_DIRECTORIES = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin"})
DEFAULT_USER = "65532:65532"
NO_PROGRAM = "none"
"""The entrypoint of an image that starts nothing."""
_SHOWN = 3


class ImageIdentity(Struct, frozen=True):
    """What was decided for one image before its layers are written."""

    names: tuple[Reference, ...]
    """One for each tag."""
    entrypoint: tuple[str, ...]
    created: datetime
    annotations: Mapping[str, str]
    """Of the manifest; each is a label of the configuration too."""

    @property
    def name(self) -> Reference:
        """The one that counts where there is room for one."""
        return self.names[0]


def image_names(spec: ImageSpec, package: Package) -> tuple[Reference, ...]:
    """The name with each tag: those asked for, else the package's name and `latest`."""
    name = spec.name or re.sub(r"[^a-z0-9]+", "-", package.name.lower()).strip("-") or "image"
    return tuple(Reference.parse(f"{name}:{tag}") for tag in spec.tags or ("latest",))


def entrypoint(spec: ImageSpec, built: Built, survey: ClosureContents) -> tuple[str, ...]:
    """The program that the image starts, as an absolute path, and its fixed arguments.

    In this order: what the image spec names (a program in `bin/`, a path, or a list), the
    `apps` output's program, `meta.mainProgram`, a program of the package's own name (the choice
    of `nix run`), the only program. Raises `ConfigError` that lists the programs otherwise.
    `NO_PROGRAM`, where no program has that name, is nothing: an image of data.
    """
    package, outputs = built.package, built.roots
    programs, anywhere = _of_package(outputs, survey), _of_image(outputs, survey)
    if spec.entrypoint == (NO_PROGRAM,) and NO_PROGRAM not in anywhere:
        return ()
    if spec.entrypoint:
        first, *rest = spec.entrypoint
        if spec.base and first.startswith("/"):
            return spec.entrypoint  # it may be a program of the base image
        return (_named(first, anywhere), *rest)
    if built.program:
        return (built.program,)
    name = package.main_program or package.name
    if name in programs:
        return (programs[name],)
    if package.main_program:
        raise ConfigError(
            f"cannot choose an entrypoint: meta.mainProgram is '{package.main_program}', "
            f"which is not in bin/ of {', '.join(map(str, outputs))}",
            hint=_choices(programs),
        )
    if len(programs) == 1:
        return tuple(programs.values())
    count = f"{len(programs)} programs" if programs else "no program"
    raise ConfigError(
        f"cannot choose an entrypoint: {package.name} has {count} and no meta.mainProgram",
        hint=_choices(programs),
    )


def _programs(found: Iterable[FoundFile]) -> dict[str, str]:
    """Programs by name; the first one counts."""
    programs: dict[str, str] = {}
    for each in found:
        programs.setdefault(display(each.name), os.fsdecode(each.target))
    return programs


def _of_package(outputs: Sequence[StorePath], survey: ClosureContents) -> dict[str, str]:
    """What an image may start unasked: programs in bin/, where `nix run` looks, else all others."""
    own = [each for each in survey.programs if each.owner in outputs]
    in_bin = [each for each in own if each.target == f"{each.owner}/bin/".encode() + each.name]
    return _programs(in_bin or own)


def _of_image(outputs: Sequence[StorePath], survey: ClosureContents) -> dict[str, str]:
    """What /usr/bin has: of two of a name the lower priority counts, then the package's own."""
    return _programs(sorted(survey.programs, key=lambda p: (p.priority, p.owner not in outputs)))


def _named(name: str, programs: Mapping[str, str]) -> str:
    """The program of a name, or of a path in one of the image's directories of programs."""
    if "/" in name and name.rpartition("/")[0] not in _PROGRAM_DIRECTORIES:
        return name
    if name.rpartition("/")[2] not in programs:
        raise ConfigError(
            f"cannot use entrypoint '{name}': there is no such program in bin/",
            hint=_choices(programs),
        )
    return programs.get(name, name)


def _choices(programs: Mapping[str, str]) -> str:
    if not programs:
        return (
            "name a package with a program first, or with --entrypoint a program that --contents "
            "or the base image brings; "
            f"an image of data that starts nothing has --entrypoint {NO_PROGRAM}"
        )
    return "choose one with --entrypoint: " + ", ".join(sorted(programs))


def manifest_annotations(
    spec: ImageSpec, package: Package, name: Reference, created: datetime
) -> dict[str, str]:
    """The predefined annotation keys (image-spec, annotations.md) that Nix has an answer to."""
    known = {
        "created": rfc3339(created),
        "description": package.description,
        "licenses": package.license,
        "revision": package.revision,
        "source": package.url,
        "title": package.name or name.repository,
        "url": package.homepage,
        "version": package.version,
    }
    return {PREDEFINED + key: value for key, value in known.items() if value} | dict(
        spec.annotations
    )


def image_config(
    spec: ImageSpec,
    identity: ImageIdentity,
    layers: Sequence[tuple[Digest, History]],
    *,
    platform: Platform,
    certificates: bool,
    locale_archive: str = "",
) -> ImageConfig:
    """The image configuration; environment and labels of the image spec win.

    `layers` are diff IDs and how each came to be, base layer first; `locale_archive` is where the
    locales are.
    """
    env = {"PATH": DEFAULT_PATH}
    if certificates:
        env |= {"SSL_CERT_FILE": CA_BUNDLE, "NIX_SSL_CERT_FILE": CA_BUNDLE}
    if locale_archive:
        env |= {"LOCALE_ARCHIVE": locale_archive}
    env |= dict(spec.env)
    return ImageConfig(
        platform,
        identity.created,
        tuple(diff_id for diff_id, _ in layers),
        tuple(history for _, history in layers),
        entrypoint=identity.entrypoint,
        cmd=spec.cmd,
        env=tuple(f"{key}={value}" for key, value in sorted(env.items())),
        user=spec.user or DEFAULT_USER,
        working_dir=spec.working_dir or "/",
        exposed_ports=spec.ports,
        volumes=spec.volumes,
        labels={**identity.annotations, **spec.labels},
        stop_signal=spec.stop_signal,
        healthcheck=spec.healthcheck,
    )


def assumed(spec: ImageSpec) -> frozenset[str]:
    """What `image_config` says though the image spec does not, by `Inherited.key`."""
    variables = {"PATH", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "LOCALE_ARCHIVE"} - spec.env.keys()
    fields = {"User": spec.user, "WorkingDir": spec.working_dir}
    unsaid = {key for key, value in fields.items() if value is None}
    return frozenset(unsaid | {f"Env {name}" for name in variables})


def layer_history(layer: LayerPlan | None, launchers: int = 0) -> History:
    """What `docker history` shows of a store layer, or of the view and so many launchers."""
    if layer is None:
        also = f"; launchers for wrappers: {launchers}" if launchers else ""
        return History("nix2oci", f"file system: /bin, /etc, users, certificates{also}")
    names = [path.name for path in layer.paths]
    return History("nix2oci", f"store paths: {and_more(names, _SHOWN)}")


def named_texts(spec: ImageSpec) -> list[str]:
    """All that an image spec says that may name something of a closure."""
    texts = [*spec.entrypoint, *spec.cmd, *spec.env.values(), *(user.shell for user in spec.users)]
    texts += [each.value for each in spec.files]
    texts += spec.healthcheck.test if spec.healthcheck else ()
    return texts


def wanted_paths(
    spec: ImageSpec, survey: ClosureContents, closure: Closure, shells: Sequence[StorePath]
) -> dict[StorePath, str]:
    """The store paths that the image spec asks for, with the reason.

    Those that it names; and the shell that the view is to have, with what leads there.
    """
    named = {word for text in named_texts(spec) for word in re.findall(r"[0-9a-z]{32}", text)}
    wanted = {path: "the configuration names it" for path in closure if path.hash_part in named}
    if spec.view.sh and survey.shell:
        owner = survey.shell.owner
        # The shell may be a link in a path that is made of links.
        behind = () if owner in shells else set(shells).intersection(closure.references(owner))
        wanted |= dict.fromkeys((owner, *sorted(behind)), "--view sh asks for it")
    return wanted
