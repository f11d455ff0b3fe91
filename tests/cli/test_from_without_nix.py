"""`--from` where there is no Nix: the image, what is believed of a cache, and what is not."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.fakecache import COMPRESSIONS, FakeCache, Key, served, status
from support.fakestore import Node, Program, store_path
from support.terminal import Completed, Terminal

from nix2oci.model.closure import StorePath

APP = store_path("app-1.0")
LIBRARY = store_path("library-1.2")
NODE: Node = {b"bin": {b"app": Program(b"\x7fELF a program")}, b"share": {b"text": b"x" * 70_000}}
STRANGER = Key("stranger-1")


@dataclass
class Desk:
    """A cache of an app with a library, and a terminal without a nix."""

    cache: FakeCache
    terminal: Terminal

    def build(self, *args: str, url: str = "", keys: str | None = None, **env: str) -> Completed:
        """Build the app into `x` from the cache, whose key is trusted."""
        keys = self.cache.key.public if keys is None else keys
        trusted = ("--trusted-public-keys", keys) if keys else ()
        where = ("--from", url or self.cache.url, *trusted, "-o", "x")
        named = args if args and args[0].startswith("/") else (str(APP), *args)
        return self.terminal.run("build", *named, *where, **{"PATH": "/nowhere", **env})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    cache = FakeCache(tmp_path / "cache")
    cache.add("library-1.2", b"a library\n", compression="xz")
    cache.add("app-1.0", NODE, [LIBRARY, APP])
    return Desk(cache, Terminal.make(tmp_path))


def digest(done: Completed) -> str:
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


# --- the image ------------------------------------------------------------------------------------


def test_no_nix_is_started_and_the_image_is_that_of_any_compression(desk: Desk) -> None:
    digests = set()
    for method in COMPRESSIONS:
        desk.cache.add("app-1.0", NODE, [LIBRARY, APP], method)
        digests.add(digest(desk.build("--json", "--no-cache")))
    assert len(digests) == 1
    assert desk.terminal.fake.calls == []


def test_from_the_web_it_is_the_image_of_the_directory(desk: Desk) -> None:
    here = digest(desk.build("--json", "--no-cache"))
    with served(desk.cache) as web:
        assert digest(desk.build("--json", "--no-cache", url=web.url)) == here
        assert sorted(web.nars) == sorted(f"/nar/{path.hash_part}.nar" for path in (APP, LIBRARY))


def test_the_image_is_the_one_of_a_run_that_has_nix(desk: Desk) -> None:
    """By `--closure`, whose image is that of the command: tests/cli/test_given_closure.py."""
    there = digest(desk.build("--json"))
    (desk.terminal.directory / "closure").write_text(closure_file(desk))
    args = (str(APP), "--closure", "closure", "--json", "-o", "y", "--from", desk.cache.url)
    done = desk.terminal.run("build", *args, PATH="/nowhere")
    assert digest(done) == there


def closure_file(desk: Desk, **changes: str) -> str:
    """What path-info prints of both."""
    found = {}
    for path, references in ((APP, [LIBRARY, APP]), (LIBRARY, [])):
        fields = dict(re.findall(r"(?m)^(\w+): (.*)$", desk.cache.record(path).read_text()))
        hashed = changes.get(path.name, fields["NarHash"])
        known = {"narHash": hashed, "narSize": int(fields["NarSize"])}
        found[str(path)] = {**known, "references": list(map(str, references))}
    return json.dumps(found)


def test_a_closure_file_vouches_for_paths_that_nobody_signed(desk: Desk) -> None:
    desk.cache.sign(APP, STRANGER)
    (desk.terminal.directory / "closure").write_text(closure_file(desk))
    assert desk.build("--closure", "closure", keys="").returncode == 0


def test_a_cache_with_another_path_than_the_closure_file_says(desk: Desk) -> None:
    wrong = "sha256:" + "0" * 52
    (desk.terminal.directory / "closure").write_text(closure_file(desk, **{"library-1.2": wrong}))
    done = desk.build("--closure", "closure")
    assert (done.returncode, done.stdout, desk.terminal.left()) == (4, "", ["closure"])
    assert f"error: cannot use {LIBRARY}: {desk.cache.url} has another one: " in done.stderr


def test_plan_needs_no_nix_either(desk: Desk) -> None:
    where = ("--from", desk.cache.url, "--no-check-sigs", "--json")
    done = desk.terminal.run("plan", str(APP), *where, PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    paths = [path for layer in json.loads(done.stdout)["layers"] for path in layer["paths"]]
    assert sorted(paths) == sorted([str(APP), str(LIBRARY)])


def test_the_tools_of_a_debug_twin_come_from_the_cache_too(desk: Desk) -> None:
    tool = desk.cache.add("tool-1", {b"bin": {b"tool": Program(b"\x7fELF a tool")}}, [LIBRARY])
    done = desk.build("--debug", "--debug-tools", str(tool))
    assert done.returncode == 0, done.stderr
    listed = desk.terminal.run("ls", "x:latest-debug", f"{tool}/bin/")
    assert listed.stdout.endswith(f" {tool}/bin/tool\n")


def test_a_second_build_fetches_only_what_is_new(desk: Desk) -> None:
    with served(desk.cache) as web:
        assert desk.build(url=web.url).returncode == 0
        web.asked.clear()
        other = store_path("app-1.1")
        desk.cache.add("app-1.1", NODE, [LIBRARY, other])
        assert desk.build(str(other), url=web.url).returncode == 0
        assert web.nars == [f"/nar/{other.hash_part}.nar"]


def test_an_image_of_two_platforms_has_a_store_path_for_each(desk: Desk) -> None:
    arm = store_path("app-1.0", salt="arm")
    for path, machine in ((APP, 62), (arm, 183)):
        head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + bytes([machine, 0])
        desk.cache.add("app-1.0", {b"bin": {b"app": Program(head)}}, path=path)
    platforms = ("--platform", "linux/amd64,linux/arm64", "--json")
    done = desk.build(str(APP), str(arm), *platforms)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["platforms"]
    assert [each["platform"] for each in made] == ["linux/amd64", "linux/arm64"]
    done = desk.build(str(arm), str(APP), *platforms)
    assert done.returncode == 5
    assert f"cannot make an image for linux/amd64: {arm}/bin/app is for aarch64" in done.stderr


# --- who is asked, and what is trusted ------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "env", "files"),
    [
        pytest.param("{stranger} {cache}", {}, {}, id="a flag with two keys"),
        pytest.param(
            "", {"NIX_CONFIG": "extra-trusted-public-keys = {cache}"}, {}, id="NIX_CONFIG"
        ),
        pytest.param(
            "", {}, {".config/nix/nix.conf": "trusted-public-keys = {cache} # ours"}, id="nix.conf"
        ),
        pytest.param(
            "",
            {"NIX_USER_CONF_FILES": "{home}/a:{home}/b"},
            {"a": "!include nothing\ninclude sub/c\n", "sub/c": "trusted-public-keys = {cache}"},
            id="a file that includes another",
        ),
        pytest.param("", {"NIX_CONFIG": "require-sigs = false"}, {}, id="require-sigs"),
    ],
)
def test_keys_are_those_of_nix(
    desk: Desk, keys: str, env: dict[str, str], files: dict[str, str]
) -> None:
    home = desk.terminal.fake.directory
    known = {"cache": desk.cache.key.public, "stranger": STRANGER.public, "home": str(home)}
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.format(**known))
    given = {name: value.format(**known) for name, value in env.items()}
    done = desk.build(keys=keys.format(**known), **given)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "query"),
    [
        pytest.param(("--no-check-sigs",), "", id="--no-check-sigs"),
        pytest.param((), "?trusted=1", id="a store that is trusted in its URL"),
        pytest.param(("--option", "require-sigs", "false"), "", id="an option of Nix"),
    ],
)
def test_signatures_need_not_be_checked(desk: Desk, args: tuple[str, ...], query: str) -> None:
    desk.cache.sign(APP, STRANGER)
    assert desk.build(*args, url=desk.cache.url + query, keys="").returncode == 0


def test_a_content_addressed_path_needs_no_signature(desk: Desk) -> None:
    """The path is what Nix 2.34 gives this directory: `nix store add-path`."""
    source = StorePath.parse("/nix/store/y0q8gh7xd2i8ydd1n5dx0lxf7lxkjba9-source")
    desk.cache.add("", {b"run": Program(b"\x7fELF")}, path=source)
    record = desk.cache.record(source)
    record.write_text(re.sub("(?m)^Sig.*", "CA: fixed:r:sha256:any", record.read_text()))
    args = (str(source), "--entrypoint", f"{source}/run")
    assert desk.build(*args).returncode == 0
    desk.cache.add("", {b"run": Program(b"\x7fELF changed")}, path=source)
    record.write_text(re.sub("(?m)^Sig.*", "CA: fixed:r:sha256:any", record.read_text()))
    done = desk.build(*args)
    assert done.returncode == 4
    assert f"no key that is trusted has signed {source}" in done.stderr


@pytest.mark.parametrize(
    ("args", "error"),
    [
        pytest.param((".#app",), "cannot evaluate '.#app'", id="a flake"),
        pytest.param(
            (f"{APP}.drv",), f"cannot find out the outputs of {APP}.drv", id="a derivation"
        ),
    ],
)
def test_what_needs_nix_says_how_to_do_without(
    desk: Desk, args: tuple[str, ...], error: str
) -> None:
    done = desk.terminal.run("build", *args, "--from", desk.cache.url, PATH="/nowhere")
    assert (done.returncode, done.stdout) == (3, "")
    error_line, hint = done.stderr.splitlines()[-2:]
    assert error_line == f"error: {error}: there is no 'nix' on PATH"
    assert "install Nix" in hint
    assert "--from" in hint


def test_a_key_that_is_none(desk: Desk) -> None:
    done = desk.build(keys="cache.test-1:short")
    assert (done.returncode, desk.terminal.left()) == (2, [])
    assert "error: cannot use trusted-public-keys: 'cache.test-1:short' is no " in done.stderr


# --- when it fails --------------------------------------------------------------------------------


def test_a_signature_of_a_stranger_ends_with_4_and_leaves_nothing(desk: Desk) -> None:
    """All that can be wrong with a cache is in tests/nix/test_binary_cache.py."""
    desk.cache.sign(LIBRARY, STRANGER)
    done = desk.build()
    assert (done.returncode, done.stdout, desk.terminal.left()) == (4, "", [])
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot use {desk.cache.url}: no key that is trusted has signed {LIBRARY}",
        "hint: name the key of that store with --trusted-public-keys, or use --no-check-sigs",
    ]


def test_a_nar_that_is_missing_when_layers_are_written_leaves_nothing(desk: Desk) -> None:
    """What is noted of it is in the build cache, so it is asked for by a worker."""
    assert desk.build().returncode == 0
    (desk.terminal.directory / "x").rename(desk.terminal.fake.directory / "x")
    desk.cache.nar_file(APP).unlink()
    done = desk.build("--compression", "none")
    assert (done.returncode, done.stdout, desk.terminal.left()) == (4, "", [])
    assert f"error: cannot read {APP} from {desk.cache.url}: its NAR is not there" in done.stderr


def test_a_redirect_to_a_private_address_ends_with_6(desk: Desk) -> None:
    with served(desk.cache, status("/nar/", 302, Location="http://10.0.0.1/x")) as web:
        done = desk.build(url=web.url)
    assert (done.returncode, done.stdout, desk.terminal.left()) == (6, "", [])
    assert "it leads to 10.0.0.1, which is not a public address" in done.stderr


def test_a_cache_that_nobody_answers_for(desk: Desk) -> None:
    done = desk.build(url="http://127.0.0.1:9")
    assert (done.returncode, desk.terminal.left()) == (6, [])
    assert "error: cannot read http://127.0.0.1:9: 127.0.0.1:9 cannot be reached" in done.stderr


def test_nothing_is_left_among_temporary_files(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    desk.cache.nar_file(LIBRARY).write_bytes(b"")
    assert desk.build(TMPDIR=str(tmp_path / "tmp")).returncode == 4
    assert os.listdir(tmp_path / "tmp") == []
