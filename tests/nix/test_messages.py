"""What Nix says is shown once, explained, and never with a secret in it."""

import pytest

from nix2oci.nix.messages import (
    Relay,
    cause,
    hint,
    is_about_the_machine,
    log_command,
    redact,
    redact_arguments,
    remainder,
)

DRV = "/nix/store/7qczpmm85vw4q79vxvr1rcsv6wqayvd5-fail.drv"
BUILD_2_8 = f"""\
building '{DRV}'...
error: builder for '{DRV}' failed with exit code 3;
       last 2 log lines:
       > one
       > two
       For full logs, run 'nix log {DRV}'.
error: 1 dependencies of derivation '/nix/store/x.drv' failed to build
"""
BUILD_2_34 = f"""\
error: Cannot build '{DRV}'.
       Reason: builder failed with exit code 3.
       Last 2 log lines:
       > one
       For full logs, run:
         nix log {DRV}
error: Cannot build '/nix/store/x.drv'.
       Reason: 1 dependency failed.
"""
THROW_2_34 = """\
error:
       … while calling the 'throw' builtin
         at /nix/store/x-source/flake.nix:12:33:

       error: no thanks
"""
SYNTAX = """\
error: syntax error, unexpected ';'

       at /nix/store/x-source/flake.nix:3:5:

            2| {
             |  ^
(use '--show-trace' to show detailed location information)
"""


def relayed(*chunks: bytes) -> tuple[list[str], Relay]:
    shown: list[str] = []
    relay = Relay(shown.append, set())
    for chunk in chunks:
        relay.feed(chunk)
    relay.finish()
    return shown, relay


def test_lines_are_passed_on_as_they_come() -> None:
    shown: list[str] = []
    relay = Relay(shown.append, set())
    relay.feed(b"one\ntw")
    assert shown == ["one"]
    relay.feed(b"o\nthree")
    assert shown == ["one", "two"]
    relay.finish()
    assert shown == ["one", "two", "three"]
    assert relay.text == "one\ntwo\nthree"


def test_an_error_at_the_end_is_held_back() -> None:
    shown, relay = relayed(BUILD_2_8.encode())
    assert shown == [f"building '{DRV}'..."]
    assert len(relay.held) == 6
    relay.release()
    assert "\n".join(shown) == BUILD_2_8.rstrip("\n")
    assert relay.held == []


def test_an_error_before_other_lines_is_shown() -> None:
    shown, relay = relayed(b"error: a\n  more\nbuilding b\n")
    assert shown == ["error: a", "  more", "building b"]
    assert relay.held == []


def test_a_warning_is_shown_once_in_all_calls() -> None:
    shown: list[str] = []
    seen: set[str] = set()
    for _ in range(2):
        Relay(shown.append, seen).feed(b"warning: Git tree is dirty\nbuilding\n")
    assert shown == ["warning: Git tree is dirty", "building", "building"]


def test_what_is_kept_is_bounded_and_each_warning_is_in_it() -> None:
    lines = (f"line {number} {'x' * 90}\n".encode() for number in range(10_000))
    _, relay = relayed(b"warning: once\n", b"warning: often\n" * 10_000, *lines)
    warnings = "warning: once\nwarning: often\n"
    assert relay.text.startswith(warnings)
    assert len(relay.text) <= 64 * 1024 + len(warnings)
    assert relay.text.endswith("line 9999 " + "x" * 90)


def test_escape_sequences_and_bytes_that_are_no_text() -> None:
    shown, _ = relayed(b"\x1b[31;1mred\x1b[0m \x1b]0;title\x07\xff\r\n")
    assert shown == ["red \ufffd"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("https://user:pw@host/x", "https://host/x", id="user and password"),
        pytest.param("'https://token@host/x'", "'https://host/x'", id="a token as user"),
        pytest.param("git+ssh://git@host/x", "git+ssh://git@host/x", id="the user of ssh"),
        pytest.param("ssh-ng://me@host", "ssh-ng://me@host", id="the user of a store by ssh"),
        pytest.param("ssh://u:pw@host/x", "ssh://host/x", id="a password of ssh"),
        pytest.param("https://host/a@b", "https://host/a@b", id="an at in the path"),
        pytest.param("git+file:///a@b", "git+file:///a@b", id="no host"),
    ],
)
def test_credentials_are_left_out(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_credentials_are_left_out_of_lines_and_arguments() -> None:
    shown, relay = relayed(b"fetching https://a:b@c/\nerror: cannot get https://a:b@c/\n")
    assert shown == ["fetching https://c/"]
    assert cause(relay.text) == "cannot get https://c/"
    argv = (
        "nix",
        "--option",
        "access-tokens",
        "github.com=x",
        "--option",
        "cores",
        "2",
        "s3://a:b@c",
    )
    assert redact_arguments(argv) == (
        *("nix", "--option", "access-tokens", "REDACTED"),
        *("--option", "cores", "2", "s3://c"),
    )


@pytest.mark.parametrize(
    ("text", "first", "expected"),
    [
        pytest.param(
            BUILD_2_8,
            True,
            f"builder for '{DRV}' failed with exit code 3",
            id="2.8: the first of the builds that failed",
        ),
        pytest.param(
            BUILD_2_34,
            True,
            f"cannot build '{DRV}': builder failed with exit code 3",
            id="2.34: the reason stands below",
        ),
        pytest.param(THROW_2_34, False, "no thanks", id="2.34: the error stands below its trace"),
        pytest.param("error: no thanks\n", False, "no thanks", id="2.8: one line"),
        pytest.param(SYNTAX, False, "syntax error, unexpected ';'", id="with a position"),
        pytest.param("warning: x\n", False, "", id="none"),
        pytest.param("", True, "", id="nothing"),
    ],
)
def test_the_cause(text: str, expected: str, *, first: bool) -> None:
    assert cause(text, first=first) == expected


@pytest.mark.parametrize(
    ("text", "first", "expected"),
    [
        pytest.param(
            BUILD_2_8,
            True,
            (
                "       last 2 log lines:",
                "       > one",
                "       > two",
                "error: 1 dependencies of derivation '/nix/store/x.drv' failed to build",
            ),
            id="2.8: the log lines, not the command",
        ),
        pytest.param(
            BUILD_2_34,
            True,
            (
                "       Last 2 log lines:",
                "       > one",
                "error: Cannot build '/nix/store/x.drv'.",
                "       Reason: 1 dependency failed.",
            ),
            id="2.34: the log lines, not the command",
        ),
        pytest.param(
            THROW_2_34,
            False,
            (
                "       … while calling the 'throw' builtin",
                "         at /nix/store/x-source/flake.nix:12:33:",
            ),
            id="2.34: the trace",
        ),
        pytest.param("error: no thanks\n", False, (), id="2.8: nothing"),
        pytest.param(
            SYNTAX,
            False,
            (
                "       at /nix/store/x-source/flake.nix:3:5:",
                "",
                "            2| {",
                "             |  ^",
            ),
            id="the position",
        ),
    ],
)
def test_the_rest_is_shown_without_the_cause(
    text: str, expected: tuple[str, ...], *, first: bool
) -> None:
    _, relay = relayed(text.encode())
    assert remainder(relay.held, cause(text, first=first)) == expected


@pytest.mark.parametrize("text", [BUILD_2_8, BUILD_2_34], ids=["2.8", "2.34"])
def test_the_command_that_shows_the_log(text: str) -> None:
    assert log_command(text) == f"nix log {DRV}"
    assert log_command("error: x") == ""


GIT = "is the file there? In a git repository Nix sees only files known to git: 'git add' it"
OWNED = (
    "if you trust who owns it: git config --global --add safe.directory {}, or name it as "
    "'path:DIR', which copies the directory without git"
)
NO_REPOSITORY = (
    "if another user owns the repository: git config --global --add safe.directory DIR, or name it "
    "as 'path:DIR', which copies the directory without git"
)
IMPURE = "a flake does not see this machine: name the system in it, or evaluate with --impure"
PURE = "evaluation may not read that, so that it is the same everywhere: allow it with --impure"
SYSTEM = "name another system with --system, or give Nix a remote builder or binfmt emulation"

ON_A_MAC = (
    "take it built from a binary cache with --from URL, or give Nix a Linux builder: "
    "nix.linux-builder.enable of nix-darwin, nix-rosetta-builder, or --builders"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "error: getting status of '/nix/store/x-source/flake.nix': No such file or directory",
            GIT,
            id="2.8: not tracked",
        ),
        pytest.param(
            "error: Path 'flake.nix' in the repository \"/x\" is not tracked by Git.",
            GIT,
            id="2.34: not tracked",
        ),
        pytest.param(
            "error: path '/nix/store/x-source/flake.nix' does not exist", GIT, id="2.34: not there"
        ),
        pytest.param(
            "error: could not find a flake.nix file",
            "name the directory of a flake, as in 'path:/dir#app', or use --file FILE ATTRIBUTE",
            id="no flake",
        ),
        pytest.param(
            "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': refused",
            "start the Nix daemon ('systemctl start nix-daemon'), or check NIX_REMOTE and --store",
            id="no daemon",
        ),
        pytest.param(
            "error: a 'riscv64-linux' with features {} is required to build 'x', but I am a 'y'",
            SYSTEM,
            id="2.8: another system",
        ),
        pytest.param(
            "error: Cannot build 'x'.\n       Reason: platform mismatch\n       Required system: y",
            SYSTEM,
            id="2.34: another system",
        ),
        pytest.param(
            "error: a 'aarch64-linux' with features {} is required to build 'x', "
            "but I am a 'aarch64-darwin' with features {benchmark}",
            ON_A_MAC,
            id="2.8: Linux on a Mac",
        ),
        pytest.param(
            "error: Cannot build 'x'.\n       Reason: platform mismatch\n"
            "       Required system: 'aarch64-linux'\n       Current system: 'x86_64-darwin'",
            ON_A_MAC,
            id="2.34: Linux on a Mac",
        ),
        pytest.param(
            "error: path '//tmp' is a symlink",
            "Nix takes no link on the way of 'path:DIR', such as /tmp: "
            "name what `realpath DIR` prints",
            id="2.34: a link above",
        ),
        pytest.param(
            "error: cannot find flake 'flake:x' in the flake registries",
            "a name that is no input is looked up in the flake registry: write './NAME' for a path",
            id="no such name",
        ),
        pytest.param(
            "error: because the option 'allow-import-from-derivation' is disabled",
            "allow it with --option allow-import-from-derivation true",
            id="import from derivation",
        ),
        pytest.param(
            "error: experimental Nix feature 'ca-derivations' is disabled; use",
            "turn the feature on with --option extra-experimental-features ca-derivations",
            id="a feature",
        ),
        pytest.param(
            "error: cannot add path 'x' because it lacks a signature by a trusted key",
            "add the key of that cache to trusted-public-keys",
            id="a signature",
        ),
        pytest.param(
            "error: Package 'x' has an unfree license ('unfree'), refusing to evaluate.",
            "allow it with NIXPKGS_ALLOW_UNFREE=1 and --impure",
            id="a license",
        ),
        pytest.param(
            "error: writing to file: No space left on device",
            "free some space: 'nix store gc'",
            id="a full disk",
        ),
        pytest.param(
            "error: opening Git repository \"/r\": repository path '/r/' is not owned by current "
            "user (libgit2 error code = 7)",
            OWNED.format("/r"),
            id="2.34: a repository of another user",
        ),
        pytest.param(
            "fatal: detected dubious ownership in repository at '/r'\nTo add an exception, call:\n"
            "\n\tgit config --global --add safe.directory /r\n"
            "error: program 'git' failed with exit code 128",
            OWNED.format("/r"),
            id="git: a repository of another user",
        ),
        pytest.param(
            "fatal: unsafe repository ('/r' is owned by someone else)",
            OWNED.format("/r"),
            id="an old git: a repository of another user",
        ),
        pytest.param(
            "warning: Not a git repository. Use --no-index\nusage: git diff --no-index\n"
            "error: program 'git' failed with exit code 129",
            NO_REPOSITORY,
            id="2.8: a repository of another user",
        ),
        pytest.param("error: attribute 'currentSystem' missing", IMPURE, id="2.8: this machine"),
        pytest.param("error: attribute 'currentTime' missing", IMPURE, id="the clock"),
        pytest.param(
            "error: access to absolute path '/x' is forbidden in pure evaluation mode (use "
            "'--impure' to override)",
            PURE,
            id="a path of this machine",
        ),
        pytest.param(
            "error: cannot look up '<nixpkgs>' in pure evaluation mode", PURE, id="a search path"
        ),
        pytest.param("error: no thanks", None, id="nothing that is known"),
        pytest.param(
            "error: builder failed\n       > No space left on device\napp-1.0> unfree",
            None,
            id="what a builder says is not for us",
        ),
    ],
)
def test_hints(text: str, expected: str | None) -> None:
    assert hint(text) == expected


KNOWN = (
    "has an unfree license",
    "attribute 'currentSystem' missing",
    "cannot connect to socket",
    "is required to build",
    "platform mismatch",
    "cannot find flake 'flake:x'",
    "does not contain a 'flake.nix'",
    "not tracked by Git",
    "path '/nix/store/x-source/a' does not exist",
    "repository path '/r' is not owned by current user",
    "program 'git' failed with exit code 129",
    "allow-import-from-derivation",
    "experimental Nix feature 'x' is disabled",
    "lacks a signature by a trusted key",
    "in pure evaluation mode",
    "No space left on device",
)
"""Each has a hint where an error says it."""

QUOTED = (
    "       at /nix/store/x-source/flake.nix:3:5:\n\n            2| x = ''{}'';\n             |  ^",
    "       … while evaluating the attribute '{}'\n",
    "       ... while evaluating '{}' at /x.nix:1:2:\n",
    "       last 2 log lines:\n       > {}\n       >",
    "app-1.0> {}\n",
    "trace: {}\n",
    "evaluation warning: {}\n",
    "building '/nix/store/x-{}.drv'...\n",
)
"""What Nix shows around an error, with text that others wrote."""


@pytest.mark.parametrize("known", KNOWN)
def test_no_hint_comes_of_what_is_quoted(known: str) -> None:
    assert hint(f"error: {known}") is not None
    for form in QUOTED:
        quoted = form.format(known)
        assert hint(f"error:\n{quoted}\n       error: no thanks\n{quoted}") is None
        assert hint(f"{quoted}error: no thanks") is None
        assert not is_about_the_machine(f"{quoted}\nerror: no thanks\n{quoted}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("error: cannot connect to socket at '/s': refused", True, id="no daemon"),
        pytest.param("error: x.\n       Reason: platform mismatch", True, id="another system"),
        pytest.param(BUILD_2_8, False, id="a builder that failed"),
        pytest.param("error: x\n       > cannot connect to daemon", False, id="a builder says so"),
    ],
)
def test_whether_a_build_failed_because_of_the_machine(text: str, *, expected: bool) -> None:
    assert is_about_the_machine(text) is expected
