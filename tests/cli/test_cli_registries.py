"""Whom flags and accounts are for, and what is asked of a registry, as a user sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakeregistry import PASSWORD, USER, FakeRegistry, answer, error
from support.fakeserver import running
from support.pushbuild import Shop
from support.pushing import REPOSITORY, stored
from support.smallimage import SmallImage
from support.terminal import Completed, Terminal

from nix2oci.cli import context

ACCOUNT = {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": PASSWORD}


@pytest.fixture
def base(tmp_path: Path) -> Iterator[FakeRegistry]:
    """Another registry, which asks everyone who it is."""
    with running(FakeRegistry()) as registry:
        stored(SmallImage().write(tmp_path / "base"), registry, "1.0")
        registry.seen.clear()
        registry.auth = "basic"
        yield registry


def name(registry: FakeRegistry, tag: str = "1.0") -> str:
    return f"{registry.registry}/{REPOSITORY}:{tag}"


def shown(registry: FakeRegistry) -> set[str | None]:
    """What was shown to a registry of who we are."""
    return {seen.authorization for seen in registry.seen}


def test_a_push_of_what_is_there_makes_few_requests(shop: Shop) -> None:
    """May we push? What is there? Nothing else is to be asked where nothing changed."""
    shop.push()
    shop.forget()
    shop.push()
    asked = [str(seen) for seen in shop.registry.seen]
    assert len(asked) <= 8, asked
    assert not [seen for seen in shop.registry.seen if seen.method == "PUT"]


def test_an_account_is_not_for_a_base(shop: Shop, base: FakeRegistry) -> None:
    done = shop.build("--base", name(base), "--push", shop.name)
    assert done.returncode == 7
    assert shown(base) == {None}


def test_an_account_is_for_the_registry_that_is_named(shop: Shop, base: FakeRegistry) -> None:
    shop.registry.auth = ""
    where = {"NIX2OCI_REGISTRY": base.registry}
    done = shop.build("--base", name(base), "--push", shop.name, **where)
    assert None in shown(base)
    assert len(shown(base)) == 2
    assert shown(shop.registry) == {None}
    assert "using credentials from NIX2OCI_USERNAME" in done.stderr


def test_an_account_is_for_no_side_of_two_registries(shop: Shop, base: FakeRegistry) -> None:
    shop.push()
    shop.forget()
    done = shop.terminal.run("diff", name(base), shop.name, **ACCOUNT)
    assert done.returncode == 7
    assert shown(base) == {None}
    assert f"NIX2OCI_PASSWORD are not used for {base.registry}:" in done.stderr


def test_plain_http_is_for_the_registry_that_is_pushed_to(shop: Shop, base: FakeRegistry) -> None:
    shop.registry.auth = base.auth = ""
    done = shop.build("--base", name(base), "--push", shop.name, "--plain-http", "-vvv")
    assert f"GET https://{base.registry}/v2/: " in done.stderr, "TLS was not tried"
    assert f"https://{shop.registry.registry}/" not in done.stderr
    assert "warning: without TLS, anyone on the way can read and change" in done.stderr


def test_plain_http_may_name_a_registry(shop: Shop, base: FakeRegistry) -> None:
    shop.registry.auth = base.auth = ""
    flag = f"--plain-http={base.registry}"
    done = shop.build("--base", name(base), "--push", shop.name, flag, "-vvv")
    assert f"https://{base.registry}/" not in done.stderr
    assert f"https://{shop.registry.registry}/v2/" in done.stderr, "TLS was not tried"


@pytest.mark.parametrize("flag", ["--plain-http", "--no-tls-verify"])
def test_a_flag_that_could_be_for_two_registries_is_refused(
    shop: Shop, base: FakeRegistry, flag: str
) -> None:
    done = shop.terminal.run("diff", flag, name(base), shop.name)
    assert (done.returncode, shop.registry.seen, base.seen) == (2, [], [])
    registries = f"{base.registry} and {shop.registry.registry}"
    assert done.stderr.splitlines()[0] == (
        f"error: cannot use {flag}: it is for one registry, and images are read from {registries}"
    )


@pytest.mark.parametrize("host", ["http://h", "h/team", "hub", ":5000"])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    done = Terminal.make(tmp_path).run("inspect", f"--plain-http={host}", "h.example/a:1")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot use --plain-http={host}: ")


@pytest.mark.parametrize(
    ("refusal", "code"), [(error(403, "DENIED"), 7), (error(404, "NAME_UNKNOWN"), 6)]
)
def test_who_may_not_push_hears_it_before_the_build(shop: Shop, refusal: object, code: int) -> None:
    shop.registry.script("POST", "/blobs/uploads/", refusal, always=True)  # type: ignore[arg-type]
    done = shop.build("--push", shop.name)
    assert (done.returncode, done.stdout) == (code, "")
    assert "writing layers" not in done.stderr


@pytest.mark.parametrize("command", ["build", "push"])
def test_a_tag_that_cannot_be_moved_may_be_pushed_again(
    shop: Shop, tmp_path: Path, command: str
) -> None:
    image = str(SmallImage().write(tmp_path / "image"))

    def again() -> Completed:
        if command == "build":
            return shop.build("--push", shop.name)
        return shop.terminal.run("push", image, shop.name, **ACCOUNT)

    first = again()
    refused = error(400, "TAG_INVALID: the tag is immutable")
    shop.registry.script("PUT", "/manifests/1.0", refused, always=True)
    assert again().stdout == first.stdout != ""


def test_another_image_under_a_tag_that_cannot_be_moved_is_explained(shop: Shop) -> None:
    shop.push()
    shop.edit("another one")
    words = {"errors": [{"code": "TAG_INVALID", "message": "already exists, it is immutable"}]}
    refused = answer(400, json.dumps(words).encode())
    shop.registry.script("PUT", "/manifests/1.0", refused, always=True)
    done = shop.build("--push", shop.name)
    assert done.returncode == 6
    assert done.stderr.splitlines()[-1] == (
        "hint: the tag is immutable there, and names another image: push under another tag"
    )


def test_other_programs_get_nothing_that_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX2OCI_PASSWORD", "secret")
    monkeypatch.setenv("OTHER", "x")
    given = context.child_environment()
    assert given["OTHER"] == "x"
    assert not [name for name in given if name.startswith("NIX2OCI_")]
