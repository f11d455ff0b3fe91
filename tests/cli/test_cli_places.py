"""One image under several references, in one repository or more: `build --push` and `push`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry, error
from support.fakeserver import running
from support.pushbuild import Shop, reused
from support.pushing import REPOSITORY
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place

OTHER = "team/other"
LAYER_PUT = r"/blobs/uploads/"


@pytest.fixture
def second() -> Iterator[FakeRegistry]:
    """Another registry, which lets everyone in."""
    with running(FakeRegistry()) as registry:
        yield registry


def digest_there(registry: FakeRegistry, tag: str, repository: str = REPOSITORY) -> str:
    """What a tag names, which has to be there by its digest too."""
    entry = registry.manifests[repository, tag]
    (digest,) = {
        name for (at, name), found in registry.manifests.items()
        if found == entry and at == repository and name.startswith("sha256:")
    }  # fmt: skip
    return digest


def pushed(shop: Shop, *names: str, **env: str) -> tuple[int, list[str], str]:
    done = shop.terminal.run("push", "x", *names, **shop.env(**env))
    shop.said += [done.stdout, done.stderr]
    return done.returncode, done.stdout.splitlines(), done.stderr


# --- several tags of one repository ---------------------------------------------------------


def test_stdout_has_a_line_for_each_reference_in_the_order_given(shop: Shop) -> None:
    names = [f"{shop.repository}:{tag}" for tag in ("b", "a", "c")]
    done = shop.build(*(word for name in names for word in ("--push", name)))
    assert done.returncode == 0, done.stderr
    digest = digest_there(shop.registry, "a")
    assert done.stdout.splitlines() == [f"{name}@{digest}" for name in names]
    assert shop.registry.tags() == {"a", "b", "c"}
    assert f"nix2oci: pushing to {names[0]}, :a, :c (" in done.stderr


def test_each_blob_is_sent_once(shop: Shop) -> None:
    shop.build("--push", f"{shop.repository}:1", "--push", f"{shop.repository}:2")
    sent = shop.sent()
    assert len(sent) == len(set(sent)) == 4


def requests(shop: Shop, *tags: str) -> int:
    """How many a push under these tags takes."""
    shop.forget()
    done = shop.build(*(word for tag in tags for word in ("--push", f"{shop.repository}:{tag}")))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(tags)
    return len(shop.registry.seen)


def test_a_further_tag_costs_two_requests(tmp_path: Path) -> None:
    found = {}
    for number in (1, 2, 5):
        with running(FakeRegistry()) as registry:
            registry.auth = "bearer"
            (tmp_path / str(number)).mkdir()
            shop = Shop.make(tmp_path / str(number), registry)
            tags = [str(tag) for tag in range(number)]
            new, again = requests(shop, *tags), requests(shop, *tags)
            shop.edit("another one")
            found[number] = (new, again, requests(shop, *tags))
    new, again, changed = found[1]
    assert found[2] == (new + 2, again + 1, changed + 2)
    assert found[5] == (new + 2 * 4, again + 4, changed + 2 * 4)


def test_a_tag_that_names_the_image_already_is_not_put_again(shop: Shop) -> None:
    shop.push()
    shop.registry.script("PUT", "/manifests/1.0", error(403, "DENIED"), always=True)
    done = shop.build("--push", f"{shop.repository}:2", "--push", shop.name)
    assert done.returncode == 0, done.stderr
    assert digest_there(shop.registry, "2") == digest_there(shop.registry, "1.0")


def test_a_reference_that_is_given_twice_is_one(shop: Shop) -> None:
    done = shop.build("--push", shop.name, "--push", shop.repository, "--tag", "1.0")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    shop.build("-o", "x")
    code, lines, _ = pushed(shop, shop.name, f"docker://{shop.name}", shop.name)
    assert (code, lines) == (0, done.stdout.splitlines())


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        pytest.param("--push HOST/team/app", ["team/app:2.0", "team/app:new"], id="no tag"),
        pytest.param("--push HOST/team/app:x", ["team/app:x"], id="a tag"),
        pytest.param("--push", ["shop/web:2.0", "shop/web:new"], id="no reference"),
        pytest.param(
            "--push HOST/a:x --push --push HOST/b",
            ["a:x", "shop/web:2.0", "shop/web:new", "b:2.0", "b:new"],
            id="all of these",
        ),
    ],
)
def test_a_place_without_a_tag_gets_each_tag_of_the_image(
    shop: Shop, push: str, expected: list[str]
) -> None:
    host = shop.registry.registry
    done = shop.build(
        *("--tag", "web:2.0", "--tag", "new", *push.replace("HOST", host).split(), "--image-refs"),
        *("refs", "--json"),
        NIX2OCI_REPO=f"{host}/shop",
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    lines = [f"{host}/{name}@{document['digest']}" for name in expected]
    assert (shop.terminal.directory / "refs").read_text().splitlines() == lines
    if len(expected) > 1:
        assert document["references"] == lines
    assert document["reference"] == document["references"][0]
    assert set(shop.registry.manifests) >= {
        (name.partition(":")[0], name.partition(":")[2]) for name in expected
    }


def test_the_twin_has_each_tag(tmp_path: Path) -> None:
    terminal = ToolsTerminal(tmp_path).terminal
    with running(FakeRegistry()) as registry:
        at = f"{registry.registry}/{REPOSITORY}"
        argv = ("build", ".#app", "--debug", "--push", f"{at}:1", "--push", f"{at}:2", "--json")
        done = terminal.run(*argv, "--image-refs", "refs")
        assert done.returncode == 0, done.stderr
        puts = [call.rpartition("/")[2] for call in registry.calls("PUT", "/manifests/[^s]")]
        again = terminal.run("build", ".#app", "--debug", *("--push", f"{at}:1"),
                             *("--push", f"{at}:1-debug"))  # fmt: skip
    document = json.loads(done.stdout)
    image, twin = document["digest"], document["debug"]["digest"]
    assert puts == ["1-debug", "2-debug", "1", "2"]
    assert document["debug"]["references"] == [f"{at}:1-debug@{twin}", f"{at}:2-debug@{twin}"]
    assert (terminal.directory / "refs").read_text().splitlines() == [
        f"{at}:1@{image}", f"{at}:2@{image}", f"{at}:1-debug@{twin}", f"{at}:2-debug@{twin}"
    ]  # fmt: skip
    assert (again.returncode, "building with Nix" in again.stderr) == (2, False)
    assert again.stderr.splitlines()[-1] == "hint: leave out the tag '1-debug'"


def test_an_index_of_platforms_gets_each_tag(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    with running(FakeRegistry()) as registry:
        at = f"{registry.registry}/{REPOSITORY}"
        done = terminal.run("build", ".#app", *BOTH, "--push", at, "--tag", "1", "--tag", "2")
        digest = digest_there(registry, "1")
        assert registry.manifests[REPOSITORY, "1"] == registry.manifests[REPOSITORY, "2"]
    assert done.stdout.splitlines() == [f"{at}:1@{digest}", f"{at}:2@{digest}"], done.stderr


def test_what_is_written_and_loaded_has_the_tags_of_the_image(shop: Shop) -> None:
    flags = ("-o", "x", "--tag", "1", "--tag", "2", "--push", shop.name)
    document = json.loads(shop.build(*flags, "--json").stdout)
    assert document["references"] == [f"{shop.repository}@{document['digest']}"]
    index = json.loads((shop.terminal.directory / "x/index.json").read_text())
    assert len(index["manifests"]) == 2


# --- several repositories -------------------------------------------------------------------


def test_each_registry_gets_the_image_and_lines_keep_their_order(
    shop: Shop, second: FakeRegistry
) -> None:
    names = [f"{shop.repository}:1", f"{second.registry}/{OTHER}:x", f"{shop.repository}:2"]
    done = shop.build(
        *(word for name in names for word in ("--push", name)),
        NIX2OCI_REGISTRY=shop.registry.registry,
    )
    assert done.returncode == 0, done.stderr
    digest = digest_there(shop.registry, "2")
    assert digest == digest_there(second, "x", OTHER)
    assert done.stdout.splitlines() == [f"{name}@{digest}" for name in names]
    assert len(shop.sent()) == len(second.calls("PUT", LAYER_PUT)) == 4


def test_a_repository_takes_blobs_from_one_of_the_same_registry(shop: Shop) -> None:
    other = f"{shop.registry.registry}/{OTHER}"
    done = shop.build("--push", shop.name, "--push", f"{other}:1", "--json")
    assert done.returncode == 0, done.stderr
    assert len(shop.sent()) == 4
    blobs = json.loads(done.stdout)["pushed"]["blobs"]
    assert [(each["repository"], each["outcome"]) for each in blobs] == [
        *[(shop.repository, "sent")] * 4,
        *[(other, "mounted")] * 4,
    ]
    assert done.stderr.count("using credentials") == 2


def test_a_layer_that_one_repository_lacks_is_made(shop: Shop, second: FakeRegistry) -> None:
    places = ("--push", f"{second.registry}/{OTHER}:1")
    env = {"NIX2OCI_REGISTRY": shop.registry.registry}
    first = shop.push()
    assert reused(shop.push()) == [True, True, False]
    assert reused(shop.push(*places, **env)) == [False] * 3
    assert digest_there(second, "1", OTHER) == first["digest"]
    assert reused(shop.push(*places, **env)) == [True, True, False]
    gone = first["layers"][0]["digest"]
    del second.blobs[OTHER, gone]
    assert reused(shop.push(*places, **env)) == [False, True, False]
    assert (OTHER, gone) in second.blobs


def test_layers_of_an_image_to_reuse_count_where_it_is(shop: Shop, second: FakeRegistry) -> None:
    shop.push()
    env = {"NIX2OCI_REGISTRY": shop.registry.registry}
    new = ("--push", f"{shop.repository}:new")
    done = shop.build(*new, "--reuse", shop.name, "--json")
    assert reused(json.loads(done.stdout)) == [True, True, False]
    there = f"{second.registry}/{OTHER}:1"
    done = shop.build(*new, "--push", there, "--reuse", shop.name, "--json", **env)
    assert reused(json.loads(done.stdout)) == [False] * 3
    done = shop.build(*new, "--push", there, "--reuse", "h.example/a:1", **env)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2] == (
        "error: cannot reuse layers of h.example/a:1: it is in another registry than "
        f"{shop.repository} and {second.registry}/{OTHER}"
    )


# --- when it goes wrong ---------------------------------------------------------------------


def test_a_push_that_fails_midway_says_what_is_there(shop: Shop, second: FakeRegistry) -> None:
    second.script("PUT", "/manifests/", error(400, "MANIFEST_INVALID"))
    names = [f"{shop.repository}:1", f"{shop.repository}:2", f"{second.registry}/{OTHER}:x"]
    argv = [word for name in names for word in ("--push", name)]
    env = {"NIX2OCI_REGISTRY": shop.registry.registry}
    done = shop.build(*argv, **env)
    assert (done.returncode, done.stdout) == (6, "")
    assert shop.registry.tags() == {"1", "2"}
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: cannot push to {second.registry}/{OTHER}: ")
    assert line.endswith(f"; pushed before that: {names[0]}, {names[1]}")
    done = shop.build(*argv, **env)
    assert done.returncode == 0, done.stderr
    assert second.tags() == {"x"}


def test_a_tag_that_is_refused_leaves_those_before_it(shop: Shop) -> None:
    shop.registry.script("PUT", "/manifests/2", error(403, "DENIED"), always=True)
    names = [f"{shop.repository}:{tag}" for tag in (1, 2, 3)]
    done = shop.build(*(word for name in names for word in ("--push", name)))
    assert (done.returncode, done.stdout, shop.registry.tags()) == (7, "", {"1"})
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith(f"; pushed before that: {names[0]}")


def test_every_registry_is_asked_before_anything_is_built(shop: Shop, second: FakeRegistry) -> None:
    second.script("POST", LAYER_PUT, error(403, "DENIED"), always=True)
    places = ("--push", shop.name, "--push", f"{second.registry}/{OTHER}:1")
    done = shop.build(*places, NIX2OCI_REGISTRY=shop.registry.registry)
    assert (done.returncode, done.stdout, shop.registry.tags()) == (7, "", set())
    assert f"error: cannot push to {second.registry}/{OTHER}: " in done.stderr
    assert "building with Nix" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--plain-http", "name it: --plain-http=HOST"),
        ("--no-tls-verify", "put certificates into ~/.config/containers/certs.d/HOST"),
    ],
)
def test_a_flag_for_one_registry_has_to_say_which(shop: Shop, flag: str, hint: str) -> None:
    done = shop.build("--push", "a.b/x:1", "--push", "c.d/x:1", flag)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot use {flag}: it is for one registry, and the image is pushed to a.b and c.d",
        f"hint: {hint}",
    ]


def test_an_account_goes_to_no_registry_of_several_unless_it_is_named(
    shop: Shop, second: FakeRegistry
) -> None:
    places = ("--push", shop.name, "--push", f"{second.registry}/{OTHER}:1")
    done = shop.build(*places)
    assert done.returncode == 7
    assert f"error: cannot push to {shop.repository}: " in done.stderr
    done = shop.build(*places, NIX2OCI_REGISTRY=shop.registry.registry)
    assert done.returncode == 0, done.stderr
    assert [seen.authorization for seen in second.seen if seen.authorization] == []


# --- push -----------------------------------------------------------------------------------


def test_an_image_is_pushed_to_several_places_in_order(shop: Shop, second: FakeRegistry) -> None:
    shop.build("-o", "x")
    names = [f"{shop.repository}:1", f"{second.registry}/{OTHER}:2", f"{shop.repository}:3"]
    code, lines, said = pushed(shop, *names, NIX2OCI_REGISTRY=shop.registry.registry)
    assert code == 0, said
    digest = digest_there(shop.registry, "1")
    assert lines == [f"{name}@{digest}" for name in names]
    assert len(shop.sent()) == len(second.calls("PUT", LAYER_PUT)) == 4
    assert digest_there(second, "2", OTHER) == digest_there(shop.registry, "3") == digest


def test_a_further_reference_of_push_costs_two_requests(shop: Shop) -> None:
    shop.build("-o", "x")
    counts = []
    for tags in (("1",), ("1", "2"), ("1", "2", "3", "4")):
        shop.registry.manifests.clear()
        shop.registry.blobs.clear()
        shop.forget()
        code, lines, said = pushed(shop, *(f"{shop.repository}:{tag}" for tag in tags))
        assert (code, len(lines)) == (0, len(tags)), said
        counts.append(len(shop.registry.seen))
    assert counts == [counts[0], counts[0] + 2, counts[0] + 2 * 3]


def test_push_says_what_is_there_when_it_fails(shop: Shop, second: FakeRegistry) -> None:
    shop.build("-o", "x")
    second.script("POST", LAYER_PUT, error(403, "DENIED"), always=True)
    names = [shop.name, f"{second.registry}/{OTHER}:1"]
    code, lines, said = pushed(shop, *names, NIX2OCI_REGISTRY=shop.registry.registry)
    assert (code, lines) == (7, [])
    assert said.partition("\nerror: ")[2].splitlines()[0].endswith(
        f"; pushed before that: {shop.name}"
    )  # fmt: skip


def test_push_sends_nothing_where_one_reference_has_another_digest(shop: Shop) -> None:
    shop.build("-o", "x")
    wrong = f"{shop.repository}@sha256:{'0' * 64}"
    code, lines, said = pushed(shop, shop.name, wrong)
    assert (code, lines, shop.registry.seen) == (2, [], [])
    assert f"error: cannot push to {wrong}: the image has digest " in said


def test_push_without_a_reference_is_an_error(shop: Shop) -> None:
    assert pushed(shop)[0] == 2
