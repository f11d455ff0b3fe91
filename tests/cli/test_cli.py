"""The command line from outside: usage, what is on which stream, and what is left behind.

Every test starts the program, with a fake Nix.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from support.fakenix import OUT
from support.terminal import Terminal

import nix2oci
from nix2oci.cli.app import program
from nix2oci.cli.help import HELP

COMMANDS = (
    *("build", "plan", "inspect", "diff", "why"),
    *("validate", "wrapper", "cache", "completion"),
)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def test_version(terminal: Terminal) -> None:
    done = terminal.run("--version")
    assert (done.returncode, done.stdout) == (0, f"nix2oci {nix2oci.__version__}\n")


def test_without_a_command_it_shows_what_there_is(terminal: Terminal) -> None:
    done = terminal.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == terminal.run("--help").stdout == terminal.run("-h").stdout


def test_help_names_every_option_and_command_of_the_program() -> None:
    options = {option for param in program.params for option in param.opts}
    names = program.list_commands(click.Context(program))
    assert [name for name in (*options, *names) if f" {name}" not in HELP] == []


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_on_stdout_and_fits(command: str, terminal: Terminal) -> None:
    done = terminal.run(*command.split(), "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: nix2oci {command}".rstrip())
    assert max(map(len, done.stdout.splitlines())) < 80
    assert terminal.run(*command.split(), "--help").stdout == done.stdout


def test_help_lists_every_command(terminal: Terminal) -> None:
    listed = terminal.run("--help").stdout
    assert all(re.search(rf"^  {command}  +\S", listed, re.MULTILINE) for command in COMMANDS)


# --- usage errors ------------------------------------------------------------------------------

# click has words of its own for these, which differ by version: the name must be in them.
USAGE = [
    pytest.param("--nope", "'?--nope'?", "nix2oci", id="an unknown option"),
    pytest.param("build --compresion x", "--compression", "nix2oci build", id="a misspelt option"),
    pytest.param("build --format tar", "'oci', 'archive'", "nix2oci build", id="an unknown format"),
    pytest.param("inspect", "'IMAGE'", "nix2oci inspect", id="no image"),
    pytest.param("validate a b", r"\(b\)", "nix2oci validate", id="an image too many"),
    pytest.param("completion tcsh", "'tcsh'", "nix2oci completion", id="an unknown shell"),
]


@pytest.mark.parametrize(
    ("line", "flag", "times"),
    [
        pytest.param("build --name a --name=b --name c", "--name", 3, id="three names"),
        pytest.param("build -o x --output y", "-o/--output", 2, id="two spellings of one flag"),
        pytest.param("build --user 5 --user 5", "--user", 2, id="the same value twice"),
        pytest.param("build --platform linux/amd64 --platform linux/arm64", "--platform", 2,
                     id="platforms, which are a list in one value"),
        pytest.param("plan --closure a --closure b", "--closure", 2, id="another command"),
        pytest.param("push x r.io/a:1 --jobs 1 --jobs 2", "--jobs", 2, id="a number"),
    ],
)  # fmt: skip
def test_one_value_is_given_once(line: str, flag: str, times: int, terminal: Terminal) -> None:
    done = terminal.run(*line.split())
    command = line.split(maxsplit=1)[0]
    assert (done.returncode, done.stdout, terminal.left()) == (2, "", [])
    assert done.stderr.splitlines() == [
        f"error: {flag} is given {times} times, and has one value",
        f"hint: see: nix2oci {command} --help",
    ]


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param("-q -q --json --json", id="switches"),
        pytest.param("--debug --no-debug", id="a switch and its opposite: the last counts"),
        pytest.param("--env A=1 --env B=2", id="lists"),
        pytest.param("--plain-http --plain-http=localhost", id="hosts after an equals sign"),
    ],
)
def test_what_is_no_single_value_may_be_repeated(flags: str, terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", *flags.split())
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_names_the_nearest(terminal: Terminal) -> None:
    done = terminal.run("buidl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no command 'buidl'\nhint: did you mean 'build'?\n"


@pytest.mark.parametrize(("line", "names", "command"), USAGE)
def test_usage_error_is_two_lines(line: str, names: str, command: str, terminal: Terminal) -> None:
    done = terminal.run(*line.split())
    error, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(rf"error: .*{names}", error)
    assert not error.endswith(".")
    assert hint == f"hint: see: {command} --help"


REFUSED = [
    pytest.param(
        ("build", "-o", "-", "--format", "oci"),
        "cannot write an image layout to stdout: it is a directory",
        "use --format archive",
        id="a directory to stdout",
    ),
    pytest.param(
        ("build", "-o", "a.tar", "--compression", "zstd"),
        "cannot write an archive with zstd layers: 'docker load' does not read them",
        "use --compression gzip, or --format oci",
        id="zstd in an archive",
    ),
    pytest.param(
        ("build", ".#app", "--max-layers", "128"),
        "--max-layers: 128 layers are more than the 127 that engines can mount",
        None,
        id="more layers than engines mount",
    ),
    pytest.param(
        ("build", ".#app", "--view", "shh"),
        "--view: unknown switch 'shh'",
        "did you mean 'sh'?",
        id="a switch that looks like another",
    ),
    pytest.param(
        ("build", ".#app", "--tag", "a b"),
        "--tag: expected a tag: up to 128 letters, digits, '_', '.', '-', got 'a b'",
        None,
        id="a tag with a space",
    ),
    pytest.param(
        ("build", ".#app", "--entrypoint", "ap"),
        "cannot use entrypoint 'ap': there is no such program in bin/",
        "choose one with --entrypoint: app",
        id="an entrypoint that is not there",
    ),
    pytest.param(
        ("build", ".#app", "--entrypoint", f"{OUT}/bin/no"),
        f"cannot use entrypoint {OUT}/bin/no: it is not in the image",
        "choose one with --entrypoint: app",
        id="a path in the store that is not there",
    ),
]


@pytest.mark.parametrize(("args", "message", "hint"), REFUSED)
def test_what_makes_no_sense_is_refused(
    args: tuple[str, ...], message: str, hint: str | None, terminal: Terminal
) -> None:
    done = terminal.run(*args)
    said = [line for line in done.stderr.splitlines() if not line.startswith("nix2oci: ")]
    assert said == [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    assert (done.returncode, done.stdout, terminal.left()) == (2, "", [])


# --- the result and the rest -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "printed", "left"),
    [
        pytest.param((), "oci:{default}:latest", "app.oci", id="a layout named like the package"),
        pytest.param(("-o", "x"), "oci:x:latest", "x", id="a layout with a name"),
        pytest.param(("--tag", "a/b:1"), "oci:{default}:1", "b.oci", id="a layout for a tag"),
        pytest.param(("-o", "x.tar"), "oci-archive:x.tar:latest", "x.tar", id="an archive"),
    ],
)
def test_build_prints_the_reference_and_nothing_else(
    options: tuple[str, ...], printed: str, left: str, terminal: Terminal
) -> None:
    done = terminal.run("build", ".#app", *options)
    assert done.returncode == 0, done.stderr
    # The default may be spelt with or without the directory.
    assert done.stdout.replace(":./", ":") == printed.format(default=left) + "\n"
    assert terminal.left() == [left]
    assert re.search(
        r"^nix2oci: [a-z/]+:\w+ is 2 layers, \d\.\d kB, of 1 store paths?; "
        r"digest sha256:[0-9a-f]{64}$",
        done.stderr,
        re.MULTILINE,
    )


def test_a_directory_that_is_made_is_named(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "-o", "new/one/x.tar")
    assert done.returncode == 0
    assert "nix2oci: making directory new/one\n" in done.stderr
    assert "making directory" not in terminal.run("build", ".#app", "-o", "new/one/y.tar").stderr


def test_one_layer_is_said_to_be_made_each_time(terminal: Terminal) -> None:
    one, two = (terminal.run("plan", ".#app", "--max-layers", n).stdout for n in ("1", "2"))
    last = one.splitlines()[2].partition("; ")[2]
    assert last == "it holds /bin, /etc and the like as well: nothing of it is reused"
    assert two.splitlines()[2].startswith("1 store path, ")
    assert two.splitlines()[2].endswith("in 1 layer; " + LAST_LAYER)
    said = terminal.run("build", ".#app", "--max-layers", "1", "-o", "x").stderr
    assert "nix2oci: with one layer nothing of it is reused: " in said
    assert "with one layer" not in terminal.run("build", ".#app", "-o", "x").stderr


LAST_LAYER = "the last layer of the image holds /bin, /etc and the like"


@pytest.mark.parametrize("command", ["inspect", "push"])
@pytest.mark.parametrize("named", [".", ".#app"])
def test_what_is_an_installable_is_told_what_shows_it(
    command: str, named: str, terminal: Terminal
) -> None:
    done = terminal.run(command, named, *(("localhost:1/x",) if command == "push" else ()))
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        f"hint: if it is to be built first: nix2oci plan {named} shows what would be in its image"
    )


def test_quiet_says_nothing_but_the_result(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "-q", "-o", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "oci:x:latest\n", "")
    done = terminal.run("validate", "-q", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_says_errors(terminal: Terminal) -> None:
    done = terminal.run("inspect", "-q", "x")
    assert done.stderr == "error: cannot read image at x: No such file or directory\n"
    assert done.returncode == 8


def test_an_archive_on_stdout_is_all_that_is_there(terminal: Terminal) -> None:
    with (terminal.directory / "piped.tar").open("wb") as out:
        argv = terminal.argv("build", ".#app", "-q", "-o", "-")
        subprocess.run(argv, cwd=terminal.directory, env=terminal.env(), stdout=out, check=True)
    terminal.run("build", ".#app", "-o", "written.tar")
    piped, written = (terminal.directory / name for name in ("piped.tar", "written.tar"))
    assert piped.read_bytes() == written.read_bytes()


def test_validate_exits_with_1_for_an_image_that_is_not_valid(terminal: Terminal) -> None:
    terminal.run("build", ".#app", "-o", "x")
    blobs = sorted(
        (terminal.directory / "x/blobs/sha256").iterdir(), key=lambda b: b.stat().st_size
    )
    blobs[0].unlink()
    done = terminal.run("validate", "x")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "x is not valid: 1 error, 0 warnings"


# --- nix2oci.yaml ------------------------------------------------------------------------------


def local_flake(terminal: Terminal, text: str) -> None:
    (terminal.directory / ".git").mkdir()
    (terminal.directory / "flake.nix").write_text("{ }")
    (terminal.directory / "nix2oci.yaml").write_text(text)


@pytest.mark.parametrize("subject", [".#app", "path:.#app", "./inner#app", "."])
def test_the_file_beside_the_flake_counts(subject: str, terminal: Terminal) -> None:
    local_flake(terminal, "tag: 1.10")
    (terminal.directory / "inner").mkdir()
    done = terminal.run("build", subject, "-o", "../x")
    assert done.stdout == "oci:../x:1.10\n"
    assert "nix2oci: settings of ./nix2oci.yaml\n" in done.stderr


def test_another_file_counts_instead_when_it_is_named(terminal: Terminal) -> None:
    local_flake(terminal, "tag: 1.10")
    (terminal.directory / "other.yaml").write_text("tag: other")
    done = terminal.run("build", ".#app", "-o", "x", "--config", "other.yaml")
    assert done.stdout == "oci:x:other\n"


def test_flags_win_over_the_file(terminal: Terminal) -> None:
    local_flake(terminal, "tag: 1.10")
    assert terminal.run("build", ".#app", "-o", "x", "--tag", "2").stdout == "oci:x:2\n"


def test_unknown_key_is_named_with_the_nearest(terminal: Terminal) -> None:
    local_flake(terminal, "labls: {a: b}")
    done = terminal.run("build", ".#app")
    assert done.stderr.splitlines()[-2:] == [
        "error: ./nix2oci.yaml: unknown key 'labls'",
        "hint: did you mean 'labels'?",
    ]
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_that_is_not_there_is_an_error(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--config", "no.yaml")
    said = "error: cannot read no.yaml: No such file or directory"
    assert done.stderr.splitlines()[-1] == said
    assert done.returncode == 8


def test_source_date_epoch_is_the_time_of_the_image(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--json", SOURCE_DATE_EPOCH="86400")
    assert json.loads(done.stdout)["created"] == "1970-01-02T00:00:00Z"
    done = terminal.run("build", ".#app", "-q", SOURCE_DATE_EPOCH="abc")
    error, hint = done.stderr.splitlines()
    assert error == "error: SOURCE_DATE_EPOCH: expected a number of seconds since 1970, got 'abc'"
    assert hint == "hint: unset the variable to do without it"
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("flags", "created", "is_said"),
    [
        pytest.param((), "1980-01-01T00:00:01Z", True, id="that of stdenv is nobody's wish"),
        pytest.param(
            *(("--created", "315532800"), "1980-01-01T00:00:00Z", False), id="unless a flag says it"
        ),
    ],
)
def test_the_time_that_stdenv_sets_is_ignored(
    terminal: Terminal, flags: tuple[str, ...], created: str, *, is_said: bool
) -> None:
    args = ("build", ".#app", "--json", *flags)
    done = terminal.run(*args, SOURCE_DATE_EPOCH="315532800")
    line = (
        "nix2oci: SOURCE_DATE_EPOCH=315532800 of stdenv is ignored; "
        "--created 315532800 is for who means it"
    )
    assert json.loads(done.stdout)["created"] == created
    assert (line in done.stderr.splitlines()) == is_said
