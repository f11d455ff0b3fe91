"""Nix's own options: each command gets those that it knows, and the store is where they say."""

import pytest

from nix2oci.errors import ConfigError, StoreError
from nix2oci.nix.options import (
    Origin,
    evaluation_options,
    setting,
    store_options,
    store_root,
)

ALL = (
    *("--impure", "--override-input", "a", "b", "--store", "/x", "--option", "cores", "2"),
    *("--arg", "n", "1", "--eval-store", "auto", "--no-write-lock-file", "-j", "4", "--offline"),
    *("-I", "nixpkgs=/n", "--builders", "", "--print-build-logs"),
)
STORE = (
    *("--store", "/x", "--option", "cores", "2", "-j", "4", "--offline", "--builders", ""),
    "--print-build-logs",
)


def test_evaluation_gets_all_options() -> None:
    assert evaluation_options(ALL) == ALL


def test_evaluation_of_an_input_hears_nothing_of_inputs() -> None:
    mine = ("--impure", "--override-input", "a", "b", "--option", "x", "y", "--update-input", "c")
    assert evaluation_options(mine, inputs=False) == ("--impure", "--option", "x", "y")


def test_other_commands_get_no_options_of_evaluation() -> None:
    assert store_options(ALL) == STORE
    with_eval_store = store_options(ALL, evaluating=True)
    assert with_eval_store == (*STORE[:5], "--eval-store", "auto", *STORE[5:])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param((), "", id="not given"),
        pytest.param(("--system", "a"), "a", id="as an option"),
        pytest.param(("--option", "system", "b"), "b", id="as a setting"),
        pytest.param(("--system", "a", "--option", "system", "b"), "b", id="the last counts"),
        pytest.param(("--override-input", "--system", "x"), "", id="a value that looks like one"),
    ],
)
def test_a_setting(options: tuple[str, ...], expected: str) -> None:
    assert setting(options, "system") == expected


def test_an_option_without_its_values() -> None:
    with pytest.raises(ConfigError) as caught:
        store_options(("--override-input", "a"))
    assert str(caught.value) == "cannot pass --override-input to Nix: it takes 2 values"


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        pytest.param("", "", id="no store is named"),
        pytest.param("auto", "", id="auto"),
        pytest.param("daemon", "", id="the daemon"),
        pytest.param("local", "", id="local"),
        pytest.param("unix:///run/nix.sock", "", id="the daemon, by its socket"),
        pytest.param("unix:///run/nix.sock?root=/mnt", "/mnt", id="a daemon with a root"),
        pytest.param("/mnt/x/", "/mnt/x", id="a directory"),
        pytest.param("/", "", id="the root directory"),
        pytest.param("local?root=/mnt", "/mnt", id="local, with a root"),
        pytest.param("local?root=%2Fa%20b&state=/s", "/a b", id="local, with a quoted root"),
        pytest.param("local:///mnt", "/mnt", id="local, as a URL"),
        pytest.param("local-overlay://?root=/mnt&lower-store=x", "/mnt", id="an overlay"),
        pytest.param("local?real=/mnt/nix/store", "/mnt", id="the real directory, below a root"),
    ],
)
def test_where_store_paths_lie(uri: str, root: str) -> None:
    assert store_root(("--store", uri), {"NIX_REMOTE": "ssh-ng://other"} if uri else {}) == root
    assert store_root((), {"NIX_REMOTE": uri}) == root


def test_a_relative_store_is_below_the_current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    assert store_root(("--store", "./x"), {}) == "/usr/x"


@pytest.mark.parametrize(
    "uri",
    [
        "ssh-ng://builder",
        "ssh://builder",
        "https://cache.example.org",
        "s3://bucket?region=x",
        "file:///mnt/cache",
        "dummy://",
    ],
)
def test_a_store_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(StoreError) as caught:
        store_root(("--store", uri), {})
    assert str(caught.value) == f"cannot read store '{uri}': its files are not on this machine"
    assert caught.value.hint == f"take what is there with --from '{uri}'"


def test_a_refused_store_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        store_root(("--store", "https://user:pw@cache.example.org"), {})
    assert "pw" not in f"{caught.value} {caught.value.hint}"


def test_a_store_whose_files_are_in_another_layout() -> None:
    with pytest.raises(StoreError) as caught:
        store_root(("--store", "local?real=/mnt/objects"), {})
    assert str(caught.value) == (
        "cannot read store 'local?real=/mnt/objects': its files are at '/mnt/objects'"
    )


# --- the store that bytes come from ---------------------------------------------------------------


def test_another_store_comes_after_that_of_the_options() -> None:
    assert store_options(ALL, store="https://h") == (*STORE, "--store", "https://h")


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        pytest.param("https://h", False, id="a cache"),
        pytest.param("https://h?trusted=true", True, id="trusted in its URL"),
        pytest.param("ssh-ng://h?compress=true&trusted=1", True, id="among other parameters"),
        pytest.param("https://h?trusted=false", False, id="said not to be"),
        pytest.param("https://h?trusted=1&trusted=0", False, id="the last one counts"),
        pytest.param("/trusted=1", False, id="no parameter"),
    ],
)
def test_a_url_can_say_that_its_store_is_trusted(url: str, *, trusted: bool) -> None:
    assert Origin(url).is_trusted == trusted
    assert Origin(url, check_signatures=False).is_trusted


@pytest.mark.parametrize(
    ("url", "place"),
    [
        pytest.param("file:///srv/cache?compression=none", "/srv/cache/nix-cache-info", id="cache"),
        pytest.param("file:///a%20b", "/a b/nix-cache-info", id="a space"),
        pytest.param("/srv/root", "/srv/root", id="the root of a store"),
        pytest.param("local?root=/srv/root", "/srv/root", id="spelled out"),
        pytest.param("auto", "", id="the store here"),
        pytest.param("https://h", "", id="the web"),
        pytest.param("ssh-ng://h", "", id="another machine"),
    ],
)
def test_where_a_store_of_this_machine_is(url: str, place: str) -> None:
    assert Origin(url).place == place


def test_an_origin_is_named_without_its_password() -> None:
    assert str(Origin("https://u:pw@h")) == "https://h"
