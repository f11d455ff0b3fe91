"""`nix2oci init`: a nix2oci.yaml to begin with, which the program itself reads."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.fakenix import OUT, missing
from support.paths import DOCS
from support.terminal import Terminal

from nix2oci.config.image_spec import ImageSpec, load, parse
from nix2oci.config.keys import KEYS
from nix2oci.report.beginning import SCHEMA_NAME, Found, beginning

SCHEMA = DOCS / SCHEMA_NAME
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
SETTING = re.compile(r"^#(?=[a-z])", re.MULTILINE)
"""What is removed in front of a key that is wanted."""


def output(kind: str = "derivation", **known: str) -> dict[str, str]:
    return {"kind": kind, "name": "", "program": "", "description": "", **known}


PACKAGES = {
    "default": output(name="shop", program="shop", description="Sells\n  things"),
    "app": output(name="app", program="app", description="The app"),
    "image": output("image", name="image.tar.gz"),
    "two words": output(name="words"),
    "gone": output("broken"),
    "lib": output(""),
}
APPS = {"serve": output("app", program="serve-it"), "default": output("app", program="shop-web")}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A directory with a flake that has these packages and apps."""
    terminal = Terminal.make(tmp_path)
    answer(terminal, PACKAGES, APPS)
    (terminal.directory / "flake.nix").touch()
    return terminal


def answer(terminal: Terminal, packages: object, apps: object = None) -> None:
    """Say what Nix answers; None is a flake without such outputs."""
    terminal.fake.rules[:] = [rule for rule in terminal.fake.rules if "'#" not in rule]
    for group, outputs in (("packages", packages), ("apps", apps)):
        if outputs is None:
            terminal.fake.answer(f"#{group}.", stderr=missing(group), code=1)
        else:
            terminal.fake.answer(f"#{group}.x86_64-linux", json.dumps(outputs))
    terminal.fake.nix()


def settings_of(text: str, directory: Path) -> ImageSpec:
    """What the program reads in a file with this text; the schema accepts it, too."""
    path = directory / "nix2oci.yaml"
    path.write_text(text)
    document = load(str(path))
    VALIDATOR.validate(document)
    return parse(document)


def keys(text: str) -> list[str]:
    """The lines of the text that are keys behind a #."""
    return [line for line in text.splitlines() if SETTING.match(line)]


def test_init_lists_the_flake_and_says_what_to_type_next(terminal: Terminal) -> None:
    done = terminal.run("init")
    assert (done.returncode, done.stdout) == (0, "nix2oci.yaml\n")
    assert done.stderr.splitlines() == [
        "nix2oci: looking for packages and apps of .",
        "nix2oci: next: nix2oci build",
    ]
    text = (terminal.directory / "nix2oci.yaml").read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_NAME}\n")
    assert text.split("as nix2oci build takes it:\n")[1].split("\n\n")[0].splitlines() == [
        "#   .              shop, starts shop-web: Sells things",
        "#   .#app          app: The app",
        "#   .#gone         does not evaluate",
        "#   .#image        an image already, which dockerTools or nix2container makes",
        "#   .#serve        serve-it",
        '#   .#"two words"  words',
    ]
    assert max(map(len, text.splitlines())) <= 100


def test_the_schema_that_the_file_names_lies_beside_it(terminal: Terminal) -> None:
    terminal.run("init")
    assert terminal.left() == ["flake.nix", SCHEMA_NAME, "nix2oci.yaml"]
    assert (terminal.directory / SCHEMA_NAME).read_bytes() == SCHEMA.read_bytes()


def test_a_plan_reads_the_file_as_it_is_and_with_every_key(terminal: Terminal) -> None:
    answer(terminal, {"app": output(name="app", program="app")})
    terminal.run("init", ".#app")
    before = terminal.run("plan", ".#app")
    assert (before.returncode, before.stderr.count("settings of")) == (0, 1), before.stderr
    path = terminal.directory / "nix2oci.yaml"
    path.write_text(SETTING.sub("", path.read_text()).replace("sh: true", "sh: false"))
    after = terminal.run("plan", ".#app")
    assert after.returncode == 0, after.stderr
    assert "evaluating .#app, nixpkgs#cacert" in after.stderr


def test_each_key_alone_and_all_together_are_read(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("init")
    text = (terminal.directory / "nix2oci.yaml").read_text()
    assert settings_of(text, tmp_path) == ImageSpec()
    for line in keys(text):
        key = line.removeprefix("#").partition(":")[0]
        assert key in KEYS
        assert settings_of(text.replace(line, line.removeprefix("#")), tmp_path) != ImageSpec()
    spec = settings_of(SETTING.sub("", text), tmp_path)
    assert (spec.name, spec.entrypoint, spec.user) == (
        "ghcr.io/example/shop",
        ("shop-web",),
        "1000:1000",
    )


NAMES = st.text(max_size=40) | st.sampled_from(
    ["NULL", "none", "root", "1.0", "7", "7zip", "a#b: c", "x\ny: 1"]
)


@given(NAMES, NAMES, st.lists(NAMES, max_size=3))
@settings(max_examples=25, deadline=None)
def test_whatever_a_flake_says_stays_in_comments(name: str, program: str, says: list[str]) -> None:
    found = [Found(f".#{each}", each) for each in says]
    text = beginning(found, "x86_64-linux", name=name, program=program)
    assert len(text.splitlines()) == len(beginning(found, "", name="", program="").splitlines())
    with tempfile.TemporaryDirectory() as directory:
        assert settings_of(text, Path(directory)) == ImageSpec()
        assert settings_of(SETTING.sub("", text), Path(directory)).entrypoint


def test_of_many_outputs_the_first_are_listed() -> None:
    found = [Found(f".#p{number}", "p") for number in range(25)]
    listed = [line for line in beginning(found, "").splitlines() if line.startswith("#   ")]
    assert (len(listed), listed[-1]) == (21, "#   and 5 others")


@pytest.mark.parametrize(
    ("typed", "path", "following"),
    [
        pytest.param(".", "nix2oci.yaml", "nix2oci build", id="the directory"),
        pytest.param(".#app", "nix2oci.yaml", "nix2oci build '.#app'", id="one of its packages"),
        pytest.param('.#"two words"', "nix2oci.yaml", "build '.#\"two words\"'", id="its quotes"),
        pytest.param(
            "api", "api/nix2oci.yaml", "nix2oci build ./api", id="a directory by its name"
        ),
        pytest.param("./api#app", "api/nix2oci.yaml", "build './api#app'", id="another flake"),
        pytest.param("docs", "nix2oci.yaml", "nix2oci build ./docs", id="a directory of a flake"),
        pytest.param("path:api", "api/nix2oci.yaml", "nix2oci build path:api", id="a path: URL"),
    ],
)
def test_the_file_lies_where_the_flake_is(
    typed: str, path: str, following: str, terminal: Terminal
) -> None:
    for name in ("api", "docs"):
        (terminal.directory / name).mkdir()
    (terminal.directory / "api/flake.nix").touch()
    done = terminal.run("init", typed)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert done.stderr.splitlines()[-1].endswith(following)
    assert (terminal.directory / path).is_file()


@pytest.mark.parametrize(
    ("arguments", "path", "following"),
    [
        pytest.param([], "nix2oci.yaml", "INSTALLABLE --config nix2oci.yaml", id="here"),
        pytest.param(["sub"], "sub/nix2oci.yaml", "--config sub/nix2oci.yaml", id="elsewhere"),
        pytest.param(
            ["-f", "default.nix", "app"],
            "nix2oci.yaml",
            "nix2oci build -f default.nix app",
            id="beside a Nix file",
        ),
    ],
)
def test_no_flake_is_needed_and_nix_is_not_asked(
    arguments: list[str], path: str, following: str, terminal: Terminal
) -> None:
    (terminal.directory / "flake.nix").unlink()
    (terminal.directory / "default.nix").touch()
    (terminal.directory / "sub").mkdir()
    done = terminal.run("init", *arguments)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert done.stderr.endswith(f"{following}\n")
    assert "There is no flake here" in (terminal.directory / path).read_text()
    assert terminal.fake.calls == []


def test_a_flake_with_nothing_for_this_system_says_so(terminal: Terminal) -> None:
    answer(terminal, None)
    done = terminal.run("init")
    assert (done.returncode, done.stdout) == (0, "nix2oci.yaml\n")
    assert done.stderr.endswith("next: give the flake a package, then nix2oci build\n")
    text = (terminal.directory / "nix2oci.yaml").read_text()
    assert "has no packages and no apps for x86_64-linux" in text


@pytest.mark.parametrize("there", ["a file", "a directory", "a link to nothing"])
def test_what_is_there_stays(there: str, terminal: Terminal) -> None:
    path = terminal.directory / "nix2oci.yaml"
    match there:
        case "a file":
            path.write_text("name: mine\n")
        case "a directory":
            path.mkdir()
        case _:
            path.symlink_to("nowhere")
    before = path.lstat()
    done = terminal.run("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: cannot write nix2oci.yaml: it is there already\n"
        "hint: edit it, or move it away to begin again\n"
    )
    assert path.lstat() == before
    assert terminal.left() == ["flake.nix", "nix2oci.yaml"]
    assert terminal.fake.calls == []


def test_a_schema_that_is_there_stays(terminal: Terminal) -> None:
    (terminal.directory / SCHEMA_NAME).write_text("{}")
    assert terminal.run("init").returncode == 0
    assert (terminal.directory / SCHEMA_NAME).read_text() == "{}"


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        pytest.param(OUT, 2, "no directory of yours is evaluated", id="a store path"),
        pytest.param("github:a/b", 2, "no directory of yours is evaluated", id="a fetched flake"),
        pytest.param("./nowhere", 2, "there is no flake", id="no directory"),
        pytest.param("../empty#app", 2, "there is no flake", id="a package of no flake"),
        pytest.param(".#ap", 3, "no package or app 'ap'", id="a package that is not there"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    typed: str, code: int, says: str, terminal: Terminal
) -> None:
    (terminal.directory.parent / "empty").mkdir()
    source = terminal.fake.root / "nix/store/0000-source"
    source.mkdir()
    resolved = {"type": "github", "owner": "a", "repo": "b"}
    metadata = {"resolved": resolved, "path": "/nix/store/0000-source"}
    terminal.fake.answer("flake metadata", json.dumps(metadata))
    terminal.fake.nix()
    done = terminal.run("init", typed, "--store", str(terminal.fake.root))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert terminal.left() == ["flake.nix"]


def test_a_flake_that_does_not_evaluate_leaves_nothing(terminal: Terminal) -> None:
    terminal.fake.rules.clear()
    terminal.fake.answer("#packages.", stderr="error: syntax error\n", code=1)
    terminal.fake.nix()
    done = terminal.run("init")
    assert (done.returncode, done.stdout) == (3, "")
    assert "error: cannot evaluate '.': syntax error" in done.stderr
    assert terminal.left() == ["flake.nix"]


def test_in_git_it_says_what_a_flake_does_not_have_yet(terminal: Terminal) -> None:
    subprocess.run(["git", "init", "-q", terminal.directory], check=True)
    done = terminal.run("init")
    tracked = f"git add nix2oci.yaml {SCHEMA_NAME}"
    assert f"nix2oci: in git a flake has only what git tracks: {tracked}\n" in done.stderr
    assert terminal.run("init", "-q").stdout == ""


def test_quiet_prints_the_path_alone(terminal: Terminal) -> None:
    done = terminal.run("init", "-q")
    assert (done.stdout, done.stderr) == ("nix2oci.yaml\n", "")
