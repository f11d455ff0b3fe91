"""docs/migration.md answers every argument of the tools that people come from, by keys of ours.

The YAML of docs/recipes.md, and settings in the pages that it leads to, are read by the program.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support import cli_page
from support.paths import DOCS

from nix2oci.config.image_spec import load, parse
from nix2oci.config.keys import KEYS

PAGE = (DOCS / "migration.md").read_text()
SCHEMA = json.loads((DOCS / "nix2oci.schema.json").read_text())

# nixpkgs: pkgs/build-support/docker/default.nix, doc/build-helpers/images/dockertools.section.md,
# and the fields of the image configuration (moby's docker-image-spec, v1.3.1);
# nix2container: default.nix; apko: pkg/build/types/types.go; Docker: the Dockerfile reference.
ARGUMENTS = {
    "### buildImage": "name tag fromImage fromImageName fromImageTag copyToRoot contents"
    " keepContentsDirlinks runAsRoot extraCommands config architecture diskSize buildVMMemorySize"
    " created uid gid compressor includeNixDB meta",
    "### buildLayeredImage and streamLayeredImage": "name tag fromImage contents config"
    " architecture created mtime uid gid uname gname maxLayers layeringPipeline extraCommands"
    " fakeRootCommands enableFakechroot includeStorePaths includeNixDB compressor debug passthru"
    " meta",
    "### config": "Entrypoint Cmd Env User WorkingDir ExposedPorts Volumes Labels StopSignal"
    " Healthcheck Shell OnBuild ArgsEscaped Hostname Domainname Memory MemorySwap CpuShares",
    "### Helpers": "fakeNss shadowSetup caCertificates binSh usrBinEnv pullImage exportImage"
    " mergeImages buildImageWithNixDb buildLayeredImageWithNixDb buildNixShellImage"
    " streamNixShellImage imageName imageDigest sha256 hash os arch finalImageName finalImageTag"
    " name tlsVerify",
    "## nix2container": "copyToDockerDaemon copyToPodman copyToRegistry copyTo",
    "### nix2container.buildImage": "name tag config copyToRoot contents fromImage fromImageEnv"
    " arch perms maxLayers layers initializeNixDatabase nixUid nixGid created meta",
    "### nix2container.buildLayer": "deps copyToRoot contents ignore layers reproducible perms"
    " permsFile fromTar ensureDirs maxLayers layersFile metadata",
    "### nix2container.pullImage and pullImageFromManifest": "imageName imageDigest imageTag"
    " imageManifest registryUrl sha256 name os arch tlsVerify",
    "## apko": "contents.packages contents.repositories contents.build_repositories"
    " contents.runtime_repositories contents.keyring contents.baseimage entrypoint.command"
    " entrypoint.shell-fragment entrypoint.type entrypoint.services cmd stop-signal work-dir"
    " accounts.users accounts.groups accounts.run-as archs environment paths paths:directory"
    " paths:empty-file paths:symlink paths:hardlink paths:permissions vcs-url annotations volumes"
    " include layering.strategy layering.budget",
    "## A Dockerfile": "FROM COPY ADD RUN ENV ENTRYPOINT CMD USER WORKDIR EXPOSE VOLUME LABEL"
    " STOPSIGNAL HEALTHCHECK ARG SHELL ONBUILD MAINTAINER",
}
ENTRY_KEYS = {"source", "link", "text", "directory", "copy", "owner", "mode"}
SPAN = re.compile(r"`([^`]+)`")
RECIPES = re.findall(r"```yaml\n(.*?)```", (DOCS / "recipes.md").read_text(), re.DOTALL)
# Beside YAML of ours they have that of the other tool.
SETTINGS = [
    block
    for page in sorted(DOCS.glob("from-*.md"))
    for block in re.findall(
        r"(?:`nix2oci.yaml`:|with this file.*)\n\n```yaml\n(.*?)```", page.read_text(), re.DOTALL
    )
]
BLOCKS = [*RECIPES, *SETTINGS]
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
TABLES = PROSE[: PROSE.index("\n## What takes a command")]
OF_OTHERS = {"--chown", "--chmod", "--short", "--start-period"}
"""Flags of Docker and git."""


def rows(heading: str) -> list[tuple[str, str]]:
    """The two cells of each row below a heading, up to the next heading of any level."""
    text = re.split(r"^#+ ", PROSE.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    found = re.findall(r"^\| (`.*?) \| (.*) \|$", text, re.MULTILINE)
    return [(first, second) for first, second in found]


def test_each_heading_with_a_table_is_compared() -> None:
    headings = re.findall(r"^#+ .*$", TABLES, re.MULTILINE)
    assert [heading for heading in headings if rows(heading)] == list(ARGUMENTS)


@pytest.mark.parametrize("heading", ARGUMENTS)
def test_each_argument_has_a_row_and_an_answer(heading: str) -> None:
    named = [name for first, _ in rows(heading) for name in SPAN.findall(first)]
    wanted = ARGUMENTS[heading].split()
    assert sorted(name.replace(" ", "") for name in named) == sorted(wanted)
    assert all(second.strip() for _, second in rows(heading))


def test_keys_and_flags_that_a_row_names_are_there() -> None:
    answers = [second for heading in ARGUMENTS for _, second in rows(heading)]
    keys = [key for text in answers for key in re.findall(r"configuration\.md#([\w-]+)", text)]
    linked = [name for text in answers for name in re.findall(r"\[`(\w[\w-]+)`\]", text)]
    assert set(linked) == set(keys) <= {*KEYS}
    commands = cli_page.commands().values()
    options = {spelling for command in commands for p in command.params for spelling in p.opts}
    spans = [span for text in answers for span in SPAN.findall(text)]
    named = {flag for span in spans for flag in re.findall(r"(?:^| )(--[a-z-]+)", span)}
    assert named - OF_OTHERS <= options


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0])
def test_blocks_of_the_pages_are_read(block: str, tmp_path: Path) -> None:
    assert accepted(block, tmp_path)


def pieces() -> list[str]:
    """What is written as YAML between backticks, as documents."""
    found = []
    for span in SPAN.findall(PROSE):
        key, colon, _ = span.partition(": ")
        if not colon or key in {"paths", *ENTRY_KEYS - {"source"}}:
            continue  # a key of apko, or a part of an entry
        is_entry, is_source = key.startswith("/"), key == "source"
        entry = span if is_entry else f"/x: {{{span}}}" if is_source else ""
        found.append(f"files: {{{entry}}}" if entry else span)
    return found


@pytest.mark.parametrize("piece", pieces())
def test_pieces_of_yaml_are_read(piece: str, tmp_path: Path) -> None:
    assert accepted(piece.replace("…", "x"), tmp_path)


def test_each_page_to_begin_with_has_settings() -> None:
    assert len(SETTINGS) == 5


def accepted(text: str, directory: Path) -> bool:
    """Whether the program and the schema read it; raises what is wrong."""
    path = directory / "nix2oci.yaml"
    path.write_text(text)
    document = load(str(path))
    parse(document)
    Draft202012Validator(SCHEMA).validate(document)
    return True
