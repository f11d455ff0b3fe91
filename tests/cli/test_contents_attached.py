"""`--attach contents`: `inspect`, `diff` and `why` of an image in a registry read no layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bases import MERGED_USR, base
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.pushbuild import LIBRARY, Shop
from support.pushing import REPOSITORY
from support.signing import KeyPair, blob_of, entries
from support.smallimage import digest_of, directory, entry
from support.terminal import Terminal
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place
from support.wrapped_app import WRAPPED, give

CONTENTS = "application/vnd.nix2oci.contents.v1+json"
NOTE = "nix2oci.contents"
ATTACH = "--attach=contents"


def shown(shop: Shop, *args: str) -> Any:
    """What a command prints as JSON; the registry keeps a record of that alone."""
    shop.forget()
    done = shop.terminal.run(*args, "--json", **shop.env())
    shop.said += [done.stdout, done.stderr]
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fetched(shop: Shop, document: Any) -> list[str]:
    """The layers of an image that were fetched since."""
    got = [call.rpartition("/")[2] for call in shop.registry.calls("GET", "/blobs/")]
    return [layer["digest"] for layer in document["layers"] if layer["digest"] in got]


def test_the_manifest_names_the_document_that_is_attached(shop: Shop) -> None:
    document = shop.push(ATTACH)
    (listed,) = entries(shop.registry, document["digest"])
    assert listed["artifactType"] == CONTENTS
    data = blob_of(shop.registry, listed)
    assert shop.manifest()["annotations"][NOTE] == digest_of(data)
    said = json.loads(data)
    assert [each["digest"] for each in said["layers"]] == [
        layer["digest"] for layer in document["layers"]
    ]
    assert document["digest"] not in data.decode()


@pytest.fixture
def naming(shop: Shop) -> Shop:
    """A shop whose application has its library in its file, where it can be found."""
    shop.edit(f"loads {LIBRARY}/lib/1.so")
    return shop


@pytest.mark.parametrize(
    "command",
    [("inspect", "IMAGE"), ("diff", "IMAGE", "other"), ("why", "IMAGE", "library")],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("layers", ["3", "1"])
def test_no_layer_is_read_and_the_answers_are_those_of_reading(
    naming: Shop, command: tuple[str, ...], layers: str
) -> None:
    document = naming.push(ATTACH, "--max-layers", layers)
    here = naming.push(ATTACH, "-o", "here", "--max-layers", layers)
    assert here["digest"] == document["digest"]
    if command[0] == "diff":
        naming.terminal.run("build", ".#app", "-o", "other", "--env", "A=1")
    read = shown(naming, *(word.replace("IMAGE", "here") for word in command))
    known = shown(naming, *(word.replace("IMAGE", naming.name) for word in command))
    assert fetched(naming, document) == []
    assert f"nix2oci: no layer of {naming.name} is read: " in naming.said[-1]
    assert _facts(command[0], known) == _facts(command[0], read)
    assert (_read(command[0], read), _read(command[0], known)) == (True, False)


def _read(command: str, document: Any) -> bool:
    return bool(document["old"]["read"] if command == "diff" else document["read"])


def _facts(command: str, document: Any) -> Any:
    """What does not depend on whether layers were read."""
    if command == "inspect":
        layers = [
            {**each, "entries": 0, "paths": sorted(each["paths"])} for each in document["layers"]
        ]
        return {**document, "layers": layers, "read": 0, "attached": 0}
    if command == "diff":
        return {**document, "old": {**document["old"], "name": "", "read": 0}}
    paths = [
        {
            **each,
            "chains": [
                {**chain, "steps": [step["path"] for step in chain["steps"]]}
                for chain in each["chains"]
            ],
        }
        for each in document["paths"]
    ]
    return {"paths": paths}


def test_in_words_it_is_the_same_but_for_the_files(naming: Shop) -> None:
    naming.push(ATTACH)
    naming.push(ATTACH, "-o", "here")
    read, known = (
        naming.terminal.run("why", image, "library", **naming.env()).stdout
        for image in ("here", naming.name)
    )
    assert "library-1.0  (bin/app)" in read
    assert known == read.replace("  (bin/app)", "")
    read, known = (
        naming.terminal.run("inspect", image, "-v", **naming.env()).stdout
        for image in ("here", naming.name)
    )
    assert known.startswith(read.rstrip("\n").partition("\nattached")[0])


def test_an_image_without_it_is_read_as_ever(shop: Shop) -> None:
    document = shop.push("--attach=sbom")
    assert NOTE not in shop.manifest()["annotations"]
    assert shown(shop, "inspect", shop.name)["read"]
    assert len(fetched(shop, document)) == 3
    assert "no layer" not in shop.said[-1]


def test_validate_reads_all_layers(shop: Shop) -> None:
    document = shop.push(ATTACH)
    shown(shop, "validate", shop.name)
    assert len(fetched(shop, document)) == 3


WRONG = [
    pytest.param(lambda _: None, "there is no blob", id="it is gone"),
    pytest.param(
        lambda said: {**said, "layers": said["layers"][1:]},
        "it is about other layers",
        id="of another image",
    ),
    pytest.param(
        lambda said: {**said, "paths": 7}, "Expected `object`, got `int`", id="no such document"
    ),
]


@pytest.mark.parametrize(("change", "why"), WRONG)
def test_layers_are_read_where_the_document_is_of_no_use(shop: Shop, change: Any, why: str) -> None:
    document = shop.push(ATTACH)
    manifest = shop.manifest()
    digest = manifest["annotations"][NOTE]
    said = change(json.loads(shop.registry.blobs.pop((REPOSITORY, digest))))
    if said is not None:
        manifest["annotations"][NOTE] = shop.put_blob(json.dumps(said).encode())
        shop.replace_manifest(manifest)
    found = shown(shop, "inspect", shop.name)
    assert found["read"]
    assert len(fetched(shop, document)) == 3
    start = f"nix2oci: layers of {shop.name} are read, without the document that says what is in"
    (line,) = [each for each in shop.said[-1].splitlines() if each.startswith(start)]
    assert why in line


def test_an_annotation_that_is_no_digest_is_said(shop: Shop) -> None:
    document = shop.push(ATTACH)
    manifest = shop.manifest()
    manifest["annotations"][NOTE] = "sha256:x"
    shop.replace_manifest(manifest)
    for command in (("inspect",), ("diff", shop.name), ("why", "library")):
        shown(shop, command[0], shop.name, *command[1:])
        assert "are read, without the document" in shop.said[-1]
    assert len(fetched(shop, document)) == 3


def test_other_bytes_under_its_digest_are_not_believed(shop: Shop) -> None:
    document = shop.push(ATTACH)
    shop.registry.blobs[REPOSITORY, shop.manifest()["annotations"][NOTE]] = b"{}"
    assert shown(shop, "inspect", shop.name)["read"]
    assert len(fetched(shop, document)) == 3


def test_the_digest_depends_on_nothing_but_that_it_was_asked_for(shop: Shop) -> None:
    first = shop.push(ATTACH)["digest"]
    assert shop.push(ATTACH)["digest"] == first, "layers are reused"
    assert shop.push(ATTACH, "--no-reuse")["digest"] == first
    assert shop.push(ATTACH + ",sbom")["digest"] == first
    for _ in range(2):
        done = shop.terminal.run("build", ".#app", "--push", shop.name, ATTACH, **shop.env())
        assert first in done.stdout, "layers come from the cache"
    assert shop.push()["digest"] != first


def test_verify_holds_it_against_the_layers(shop: Shop) -> None:
    shop.push(ATTACH)
    (judged,) = shown(shop, "verify", shop.name)["attached"]
    assert (judged["kind"], judged["verdict"]) == ("contents", "holds")


def test_it_is_signed_as_other_documents_are(shop: Shop, tmp_path: Path) -> None:
    key = KeyPair.make(tmp_path)
    shop.push(ATTACH, f"--sign-key={key.secret}")
    found = shown(shop, "verify", shop.name, "--key", str(key.public))["attached"]
    assert [(each["kind"], each["verdict"]) for each in found] == [
        ("contents", "holds"),
        ("signature", "verified"),
        ("contents", "verified"),
        ("signature", "verified"),
    ]
    assert not shown(shop, "inspect", shop.name)["read"]


def test_a_slim_image_has_none_and_it_is_said(shop: Shop) -> None:
    shop.push(ATTACH, "--slim=docs")
    assert NOTE not in shop.manifest()["annotations"]
    assert "nix2oci: warning: no contents are attached: a slim image" in shop.said[-1]


def test_a_twin_has_a_document_of_its_own(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        done = place.terminal.run("build", ".#app", "--debug", "--push", name, ATTACH)
        assert done.returncode == 0, done.stderr
        place.terminal.run("build", ".#app", "--debug", "-o", "here", ATTACH)
        registry.seen.clear()
        known = json.loads(place.terminal.run("inspect", f"{name}-debug", "--json").stdout)
        got = [call.rpartition("/")[2] for call in registry.calls("GET", "/blobs/")]
        read = json.loads(place.terminal.run("inspect", "here:latest-debug", "--json").stdout)
    assert not {layer["digest"] for layer in known["layers"]} & set(got)
    assert _facts("inspect", known) == _facts("inspect", read)
    assert not known["read"]


def test_each_platform_has_its_own(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        done = terminal.run("build", ".#app", *BOTH, "--push", name, ATTACH, "--json")
        assert done.returncode == 0, done.stderr
        for platform in ("linux/amd64", "linux/arm64"):
            found = terminal.run("inspect", name, "--platform", platform, "--json")
            assert not json.loads(found.stdout)["read"]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def compared(terminal: Terminal, image: str, commands: tuple[tuple[str, ...], ...]) -> None:
    """Whether an image in a registry is known as one that is read; both are of `.#app`."""
    for command in commands:
        read, known = (
            terminal.run(*(word.replace("IMAGE", name) for word in command), "--json")
            for name in ("here", image)
        )
        assert (read.returncode, known.returncode) == (0, 0), known.stderr
        assert "no layer of" in known.stderr
        documents = json.loads(read.stdout), json.loads(known.stdout)
        assert _facts(command[0], documents[1]) == _facts(command[0], documents[0])


def test_launchers_and_dropped_paths_are_as_in_the_layers(terminal: Terminal) -> None:
    give(terminal, WRAPPED)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        for to in (("--push", name), ("-o", "here")):
            done = terminal.run("build", ".#app", *to, ATTACH, "--shell", "drop")
            assert done.returncode == 0, done.stderr
        compared(terminal, name, (("inspect", "IMAGE"), ("why", "IMAGE", "app")))
        assert len(json.loads(terminal.run("inspect", name, "--json").stdout)["launchers"]) == 1
        assert terminal.run("why", name, "bash").returncode == 2


def test_a_base_image_is_described_as_well(terminal: Terminal) -> None:
    """The document that its own manifest names is about other layers, and is not passed on."""
    below = "nix/store/a6sbazwb84960nz7saz7z551zi6vri7k-below-1.0"
    own = (directory("nix"), directory("nix/store"), directory(below), entry(f"{below}/x", b"x"))
    names = entry("usr/bin/below", f"/{below}/x".encode())

    def note(manifest: Any) -> None:
        manifest["annotations"] = {NOTE: "sha256:" + "0" * 64}

    base(*MERGED_USR, names, *own, manifest=note).write(terminal.directory / "base")
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        for to in (("--push", name), ("-o", "here")):
            done = terminal.run("build", ".#app", *to, "--base", "base", ATTACH)
            assert done.returncode == 0, done.stderr
        compared(terminal, name, (("inspect", "IMAGE"), ("why", "IMAGE", "below")))
        plain = terminal.run("build", ".#app", "--push", name, "--base", "base")
        assert plain.returncode == 0
        manifest = json.loads(registry.manifests[REPOSITORY, "1.0"][1])
    assert NOTE not in manifest.get("annotations", {})


def test_an_image_is_made_again_with_the_document_that_it_names(shop: Shop) -> None:
    shop.push(ATTACH)
    done = shop.terminal.run("verify", shop.name, ".#app", "--rebuild", "-q", **shop.env())
    assert done.returncode == 0, done.stdout
