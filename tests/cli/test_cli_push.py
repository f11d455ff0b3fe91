"""`build --push` as a user gets it: what is reused, what is sent, and what is printed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from threading import Event

import pytest
from support.fakeregistry import Exchange, FakeRegistry, error
from support.fakeserver import running
from support.json_page import documented
from support.pushbuild import LIBRARY, Shop, notes, reused
from support.pushing import REPOSITORY
from support.started import started
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import INDEX
from nix2oci.oci.validate.check_image import validate_layout


def test_stdout_has_one_line_which_is_the_reference_with_its_digest(shop: Shop) -> None:
    done = shop.build("--push", shop.name)
    assert done.returncode == 0, done.stderr
    _, manifest = shop.registry.manifests[REPOSITORY, "1.0"]
    (digest,) = {
        name
        for (_, name), (_, data) in shop.registry.manifests.items()
        if data == manifest and name != "1.0"
    }
    assert done.stdout == f"{shop.repository}@{digest}\n"
    assert shop.terminal.left() == []
    first = shop.said[-1].splitlines()[1]
    assert first == (
        "nix2oci: using credentials from NIX2OCI_USERNAME and NIX2OCI_PASSWORD "
        f"for {shop.repository}"
    )
    assert shop.said[-1].count("using credentials") == 1
    assert notes(shop) == [f"nix2oci: nothing of {shop.name} is reused: there is no such image"]


def test_a_second_push_makes_and_sends_nothing_that_is_there(shop: Shop) -> None:
    first = shop.push()
    shop.forget()
    second = shop.push()
    assert shop.sent() == []
    assert second["digest"] == first["digest"]
    assert (reused(first), reused(second)) == ([False] * 3, [True, True, False])
    assert second["read"] == {"files": 0, "bytes": 0}
    assert second["reused"] == {"layers": 2, "size": sum(s["size"] for s in second["layers"][:2])}
    assert shop.said[-1].splitlines()[-1] == "nix2oci: sent no blob; 4 there already"


def test_after_a_change_of_the_application_its_layer_the_last_and_the_config_are_sent(
    shop: Shop,
) -> None:
    shop.push()
    shop.edit("another one")
    shop.forget()
    document = shop.push("-v")
    library, app, view = document["layers"]
    assert reused(document) == [True, False, False]
    assert library["paths"] == [LIBRARY]
    assert sorted(shop.sent()) == sorted([app["digest"], view["digest"], document["image_id"]])
    assert document["read"] == {"files": 1, "bytes": app["nar_size"]}
    said = shop.said[-1].splitlines()
    assert f"nix2oci: read 1 file, {app['nar_size']} B of the store to write layers" in said
    assert f"nix2oci: reused 1 of 3 layers that the registry has, {library['size']} B" in said
    assert shop.registry.calls("PUT", "/manifests/")[-1] == f"PUT /v2/{REPOSITORY}/manifests/1.0"


def test_what_is_reused_is_not_read(shop: Shop) -> None:
    """It is not even there any more."""
    shop.push()
    shop.edit("another one")
    place = Path(f"{shop.terminal.fake.root}{LIBRARY}/lib/2.so")
    place.chmod(0o644)
    place.write_bytes(b"damaged")
    assert reused(shop.push()) == [True, False, False]
    done = shop.build("--push", shop.name, "--no-reuse")
    assert (done.returncode, done.stdout) == (4, "")


def test_the_image_is_the_same_when_nothing_is_reused(shop: Shop) -> None:
    first = shop.push()
    shop.edit("another one")
    with_, without = shop.push(), shop.push("--no-reuse")
    assert with_["digest"] == without["digest"] != first["digest"]
    assert reused(without) == [False] * 3


def test_the_cache_is_still_good_afterwards(shop: Shop) -> None:
    shop.push()
    for _ in range(2):
        done = shop.terminal.run("build", ".#app", "--push", shop.name, **shop.env())
        assert done.returncode == 0, done.stderr
    shop.terminal.run("build", ".#app", "-o", "x")
    assert validate_layout(f"{shop.terminal.directory}/x") == ()


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_layer_is_reused_in_its_own_compression_alone(shop: Shop, compression: str) -> None:
    shop.push()
    assert reused(shop.push("--compression", compression)) == [False] * 3
    assert reused(shop.push("--compression", compression)) == [True, True, False]


def test_one_layer_of_all_is_none_of_store_paths(shop: Shop) -> None:
    """It has the view as well."""
    assert reused(shop.push("--max-layers", "1")) == [False]
    assert reused(shop.push("--max-layers", "2")) == [False, False]
    assert reused(shop.push("--max-layers", "1")) == [False]


def test_the_twin_goes_beside_the_image_and_comes_first(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        done = place.terminal.run(
            "build", ".#app", "--debug", "--push", name, "--json", "--image-refs", "refs"
        )
        assert done.returncode == 0, done.stderr
        tags = [call.rpartition("/")[2] for call in registry.calls("PUT", "/manifests/[^s]")]
    document = json.loads(done.stdout)
    image, twin = document["digest"], document["debug"]["digest"]
    assert tags == ["1.0-debug", "1.0"]
    assert document["debug"]["reference"] == f"{name.removesuffix(':1.0')}@{twin}"
    refs = (place.terminal.directory / "refs").read_text().splitlines()
    assert refs == [f"{name}@{image}", f"{name}-debug@{twin}"]
    assert f"nix2oci: debug twin: {name}-debug, " in done.stderr
    assert f"nix2oci: {name} is 2 layers, " in done.stderr


def test_an_index_of_platforms_is_pushed_and_reused(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        argv = ("build", ".#app", *BOTH, "--push", name, "--no-cache", "--json")
        first, second = (json.loads(terminal.run(*argv).stdout) for _ in range(2))
        kind, _ = registry.manifests[REPOSITORY, "1.0"]
    assert kind == INDEX
    assert first["reference"] == second["reference"] == f"{name[:-4]}@{first['digest']}"
    assert [reused(platform) for platform in second["platforms"]] == [[True, False]] * 2
    assert second["pushed"]["sent"] == 0


# --- when it goes wrong ---------------------------------------------------------------------


def test_who_may_not_push_is_told_before_anything_is_built(shop: Shop) -> None:
    done = shop.build("--push", shop.name, NIX2OCI_PASSWORD="wrong")
    assert (done.returncode, done.stdout) == (7, "")
    assert f"error: cannot push to {shop.repository}: " in done.stderr
    assert "building with Nix" not in done.stderr


def test_a_push_that_fails_leaves_the_tag_where_it_was_and_no_file(shop: Shop) -> None:
    shop.push()
    before = shop.manifest()
    shop.edit("another one")
    shop.registry.script("PUT", "/manifests/", error(400, "MANIFEST_INVALID"), always=True)
    done = shop.build("--push", shop.name, "-vvv", "--image-refs", "refs", "--metadata", "meta")
    assert (done.returncode, done.stdout) == (6, "")
    assert shop.manifest() == before
    assert shop.terminal.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted_while_it_is_pushed(shop: Shop, tmp_path: Path, number: signal.Signals) -> None:
    begun, over = Event(), Event()

    def hold(exchange: Exchange) -> None:
        begun.set()
        over.wait(60)
        exchange.cut()

    shop.registry.script("PUT", "/blobs/uploads/", hold, always=True)
    (tmp_path / "scratch").mkdir()
    env = shop.terminal.env(**shop.env(TMPDIR=str(tmp_path / "scratch")))
    argv = shop.terminal.argv("build", ".#app", "-q", "--push", shop.name)
    with started(argv, env, shop.terminal.directory) as process:
        assert begun.wait(60)
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
        over.set()
    assert (process.returncode, printed, said.strip()) == (130, "", "interrupted")
    assert list((tmp_path / "scratch").iterdir()) == []
    # An upload that the registry opened in the same moment may stay: nobody knows its address.
    assert shop.registry.calls("DELETE", "/blobs/uploads/")
    assert shop.registry.manifests == {}


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        pytest.param(
            ("--push", "UPPER/x"),
            "cannot read image reference 'UPPER/x': 'UPPER/x' is not a repository",
            "use lower case: upper/x",
            id="no reference",
        ),
        pytest.param(
            ("--push", ".#other"),
            "cannot read image reference '.#other': '.#other' is not a repository",
            "what follows --push is where the image goes",
            id="an installable after it",
        ),
        pytest.param(
            ("--push", f"h.example/x@sha256:{'0' * 64}"),
            f"cannot push to h.example/x@sha256:{'0' * 64}: "
            "the digest is not known before the image",
            "name a tag",
            id="a digest",
        ),
        pytest.param(
            ("--push",),
            "cannot push: nothing says where to",
            "use --push REGISTRY/REPOSITORY:TAG, or set NIX2OCI_REPO=REGISTRY/PATH",
            id="nowhere",
        ),
        pytest.param(
            ("--push", "h.example/x", "-o", "-"),
            "cannot push with -o -: stdout has either the archive or the reference",
            "use -o PATH.tar",
            id="stdout cannot have both",
        ),
        pytest.param(
            ("--push", "h.example/x", "--format", "archive"),
            "cannot use --format with --push: no file is written",
            "add -o PATH",
            id="a form of nothing",
        ),
        pytest.param(
            ("--reuse", "h.example/x"),
            "cannot use --reuse: nothing is pushed",
            "add --push REF",
            id="reuse for nothing",
        ),
        pytest.param(
            ("--no-reuse",),
            "cannot use --no-reuse: nothing is pushed",
            "add --push REF",
            id="no reuse for nothing",
        ),
        pytest.param(
            ("--push", "h.example/x", "--reuse", "h.example/x", "--no-reuse"),
            "cannot use --reuse with --no-reuse: they contradict each other",
            None,
            id="both",
        ),
        pytest.param(
            ("--push", "h.example/x", "--reuse", "h.example/x", "-o", "x"),
            "cannot use --reuse with -o: the image here has to have all of its layers",
            None,
            id="a layout that lacks layers",
        ),
    ],
)
def test_what_does_not_go_together(
    shop: Shop, args: tuple[str, ...], message: str, hint: str | None
) -> None:
    done = shop.build(*args)
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (2, "", lines)
    assert (shop.registry.seen, shop.terminal.left()) == ([], [])


# --- where it goes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "environment", "expected"),
    [
        pytest.param(("--push",), "/team", ("team/app", "latest"), id="a place for all images"),
        pytest.param(("--push", "--tag", "a/b:1"), "", ("a/b", "1"), id="a registry alone"),
        pytest.param(("--push", "REGISTRY/x/y"), "/team", ("x/y", "latest"), id="a reference"),
        pytest.param(
            ("--push", "REGISTRY/x", "--tag", "app:2"), None, ("x", "2"), id="the image's tag"
        ),
        pytest.param(
            ("--push", "--tag", "REGISTRY/x/z:3"), None, ("x/z", "3"), id="the image's name"
        ),
        pytest.param(("--push", "docker://REGISTRY/x:4"), None, ("x", "4"), id="skopeo's prefix"),
    ],
)
def test_where_an_image_goes(
    shop: Shop, args: tuple[str, ...], environment: str | None, expected: tuple[str, str]
) -> None:
    host = shop.registry.registry
    variables = {} if environment is None else {"NIX2OCI_REPO": f"{host}{environment}"}
    done = shop.build(*(text.replace("REGISTRY", host) for text in args), **variables)
    assert done.returncode == 0, done.stderr
    assert expected in shop.registry.manifests
    assert done.stdout.startswith(f"{host}/{expected[0]}@sha256:")


def test_a_place_for_all_images_that_is_none(shop: Shop) -> None:
    done = shop.build("--push", NIX2OCI_REPO="https://h.example/")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: cannot use NIX2OCI_REPO: 'https://h.example/' is not REGISTRY/PATH",
        "hint: such as NIX2OCI_REPO=registry.example.com/team",
    ]


def test_files_for_a_pipeline_have_the_names_there(shop: Shop) -> None:
    document = shop.push("--image-refs", "refs", "--metadata", "meta.json")
    directory = shop.terminal.directory
    assert (directory / "refs").read_text() == f"{shop.name}@{document['digest']}\n"
    assert json.loads((directory / "meta.json").read_text()) == document
    assert document["reference"] == f"{shop.repository}@{document['digest']}"
    assert set(document["pushed"]) == documented("push", 0)


def test_output_and_push_are_one_image_and_the_file_has_all_layers(shop: Shop) -> None:
    shop.push()
    document = shop.push("-o", "x")
    assert reused(document) == [False] * 3
    layout = f"{shop.terminal.directory}/x"
    assert validate_layout(layout) == ()
    assert str(open_image(layout).descriptor.digest) == document["digest"]


def test_nothing_is_left_where_it_was_put_together(shop: Shop, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shop.push(TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []
