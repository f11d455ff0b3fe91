"""What the registry has is asked for while Nix is at work, and is known before layers are made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.fakeregistry import Exchange, error
from support.pushbuild import Shop, notes, reused
from support.pushing import REPOSITORY


def there(path: Path) -> bool:
    """Whether a file comes within a while."""
    for _ in range(200):
        if path.exists():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def meeting(shop: Shop, tmp_path: Path) -> Shop:
    """A shop whose Nix builds until the earlier image is asked for, and no earlier answer comes."""
    begun, asked = tmp_path / "begun", tmp_path / "asked"
    shop.push()
    shop.edit("another one")

    def answer(exchange: Exchange) -> None:
        if there(begun):
            asked.touch()
        exchange.proceed()

    shop.registry.script("GET", "/manifests/1.0", answer)
    wait = f"touch {begun}; for i in $(seq 200); do [ -e {asked} ] && break; sleep 0.05; done"
    fake = shop.terminal.fake
    (build,) = [rule for rule in fake.rules if "build --json" in rule]
    fails = f"[ -e {asked} ] || exit 9"
    fake.rules[fake.rules.index(build)] = build.replace(">&2; :;", f">&2; {wait}; {fails};")
    fake.nix()
    shop.forget()
    return shop


def test_the_earlier_image_is_asked_for_while_nix_builds(meeting: Shop) -> None:
    assert reused(meeting.push()) == [True, False, False]
    said = meeting.said[-1].splitlines()
    lines = [index for index, line in enumerate(said) if "reused 1 of 3" in line]
    assert lines > [index for index, line in enumerate(said) if "building" in line]


def test_what_is_wrong_with_it_is_said_when_nix_is_done(meeting: Shop) -> None:
    kind, _ = meeting.registry.manifests[REPOSITORY, "1.0"]
    meeting.registry.manifests[REPOSITORY, "1.0"] = kind, b'{"layers": 7}'
    assert reused(meeting.push()) == [False] * 3
    (line,) = notes(meeting)
    assert line.startswith(f"nix2oci: nothing of {meeting.name} is reused: cannot read ")
    said = meeting.said[-1].splitlines()
    assert said.index(line) > next(i for i, each in enumerate(said) if "building" in each)


def test_who_may_not_push_is_told_before_nix_builds(meeting: Shop) -> None:
    meeting.registry.script("POST", "/uploads/", error(403, "DENIED"), always=True)
    done = meeting.build("--push", meeting.name)
    assert (done.returncode, "building" in done.stderr) == (7, False)


def test_where_nix_fails_that_is_the_error(meeting: Shop) -> None:
    fake = meeting.terminal.fake
    fake.rules.insert(0, "*'build --json'*) echo 'error: no builder' >&2; exit 1;;")
    fake.nix()
    done = meeting.build("--push", meeting.name)
    assert done.returncode == 4, done.stderr
    assert "reused" not in done.stderr
