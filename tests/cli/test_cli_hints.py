"""`--popularity`, `--stable`, `--volatile` and `--plan-from`, and `layers` in nix2oci.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakestore import store_path
from support.pushing import Desk
from support.records import LIBRARIES, record, write_fleet
from support.smallimage import Layer, SmallImage, directory, entry, tar
from support.terminal import Completed, Terminal

OPENSSL, GLIBC, ZLIB, PYTHON, SHOP = (
    str(store_path(name))
    for name in ("openssl-3.0.14", "glibc-2.39", "zlib-1.3.1", "python3-3.12.3", "shop-1.4")
)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path)
    write_fleet(terminal.directory)
    return terminal


def plan(terminal: Terminal, *options: str) -> Completed:
    return terminal.run("plan", "--closure", "shop.json", *options)


def layers(terminal: Terminal, *options: str) -> list[list[str]]:
    done = plan(terminal, "-q", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [layer["paths"] for layer in json.loads(done.stdout)["layers"]]


# --- stable and volatile -----------------------------------------------------------------------


def test_what_is_volatile_is_in_the_layer_of_the_app(terminal: Terminal) -> None:
    assert layers(terminal, "--volatile", "python3")[-1] == [PYTHON, SHOP]


def test_what_is_stable_risks_less(terminal: Terminal) -> None:
    def risk(*options: str) -> float:
        document = json.loads(plan(terminal, "-q", "--json", *options).stdout)
        (found,) = [each["risk"] for each in document["layers"] if each["paths"] == [GLIBC]]
        assert isinstance(found, float)
        return found

    assert risk("--stable", "glibc") == 0 < risk()


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        pytest.param(
            ("--stable", "glib"),
            "no store path is called 'glib' (stable); did you mean 'glibc'?",
            id="a slip",
        ),
        pytest.param(
            ("--volatile", "my-company"),
            "no store path is called 'my-company' (volatile)",
            id="a name that is like no other",
        ),
        pytest.param(
            ("--stable", "zlib-1.2"),
            "no store path is called 'zlib-1.2' (stable); did you mean 'zlib'?",
            id="another version",
        ),
    ],
)
def test_a_name_that_nothing_has_is_a_warning(
    terminal: Terminal, options: tuple[str, ...], warning: str
) -> None:
    done = plan(terminal, *options)
    assert (done.returncode, done.stderr) == (0, f"nix2oci: warning: {warning}\n")
    assert plan(terminal, "-q", *options).stderr == ""


def test_a_build_warns_too(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--stable", "glibc", "--volatile", "app")
    assert done.returncode == 0
    assert "\nnix2oci: warning: no store path is called 'glibc' (stable)\n" in done.stderr
    assert "(volatile)" not in done.stderr


def test_a_name_cannot_be_both(terminal: Terminal) -> None:
    done = plan(terminal, "--stable", "glibc", "--volatile", "glibc")
    assert (done.returncode, done.stderr) == (
        2,
        "error: nix2oci.yaml: layers: 'glibc' is both stable and volatile\n",
    )


# --- an index ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        pytest.param(
            None,
            8,
            "cannot read popularity index index.json: No such file or directory",
            id="no such file",
        ),
        pytest.param(
            "{}", 2, "cannot read popularity index index.json: it is not one", id="something else"
        ),
        pytest.param(
            '{"format": 9}',
            2,
            "cannot read popularity index index.json: its format is 9, not 2\n"
            "hint: make it again with 'nix2oci popularity'",
            id="a newer format",
        ),
    ],
)
@pytest.mark.parametrize("command", ["build", "plan", "diff", "why"])
def test_an_index_that_cannot_be_read_ends_it_before_nix_is_asked(
    terminal: Terminal, command: str, text: str | None, code: int, error: str
) -> None:
    if text is not None:
        (terminal.directory / "index.json").write_text(text)
    subject = {"diff": (".#app", ".#app"), "why": (".#app", "glibc")}.get(command, (".#app",))
    done = terminal.run(command, *subject, "--popularity", "index.json")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"error: {error}\n")
    assert not any({"eval", "build"} & set(call) for call in terminal.fake.calls)


# --- an earlier plan ---------------------------------------------------------------------------

TWO = {"layers": [{"paths": [GLIBC, ZLIB]}, {"paths": [OPENSSL, PYTHON]}, {"paths": [SHOP]}]}
KEPT = [[GLIBC, ZLIB], [OPENSSL, PYTHON], [SHOP]]


def earlier(terminal: Terminal, document: object) -> None:
    (terminal.directory / "earlier.json").write_text(json.dumps(document))


def test_an_earlier_plan_is_kept_and_what_that_costs_is_said(terminal: Terminal) -> None:
    earlier(terminal, TWO)
    done = plan(terminal, "--json", "--plan-from", "earlier.json")
    document = json.loads(done.stdout)
    assert [layer["paths"] for layer in document["layers"]] == KEPT
    assert document["kept"]["from"] == "earlier.json"
    excess = document["kept"]["excess"]
    less = 100 * excess / (1 + excess)
    assert less > 1
    assert done.stderr == (
        "nix2oci: the plan of earlier.json is kept; a new one would be expected to move and store "
        f"{less:.1f}% less\n"
    )


def test_the_best_plan_is_kept_for_nothing(terminal: Terminal) -> None:
    printed = plan(terminal, "--json")
    (terminal.directory / "earlier.json").write_text(printed.stdout)
    done = plan(terminal, "--json", "--plan-from", "earlier.json")
    assert json.loads(done.stdout)["kept"] == {"from": "earlier.json", "excess": 0.0}
    assert json.loads(done.stdout)["layers"] == json.loads(printed.stdout)["layers"]
    assert done.stderr == (
        "nix2oci: the plan of earlier.json is kept; a new one would be expected to save nothing\n"
    )


def test_a_new_version_of_one_package_changes_one_layer_where_nothing_refers_to_it(
    terminal: Terminal,
) -> None:
    earlier(terminal, TWO)
    changed = {**LIBRARIES, "shop-1.4": (9_000_000, ("python3-3.12.3", "logo-2"))}
    changed["logo-2"] = (90_000_000, ())
    (terminal.directory / "shop.json").write_text(record("shop-1.4", changed))
    kept = layers(terminal, "--plan-from", "earlier.json", "--max-layers", "4")
    assert len(kept) == 3
    assert kept[-1] == [SHOP]
    assert sum(layer in KEPT for layer in kept) == 2


def test_documents_of_build_and_inspect_and_the_image_give_the_same(terminal: Terminal) -> None:
    here = terminal.directory
    built = terminal.run("build", "-q", "--json", ".#app", "-o", "app.oci")
    (here / "build.json").write_text(built.stdout)
    (here / "inspect.json").write_text(terminal.run("inspect", "--json", "app.oci").stdout)
    (here / "plan").write_text(terminal.run("plan", "--json", ".#app").stdout)
    for source in ("build.json", "inspect.json", "plan", "app.oci", "oci:app.oci:latest"):
        done = terminal.run("plan", "-q", "--json", ".#app", "--plan-from", source)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["kept"] == {"from": source, "excess": 0.0}


def layer(*paths: str) -> Layer:
    made = [item for path in paths for item in (directory(path[1:]), entry(f"{path[1:]}/file"))]
    return Layer(tar(directory("nix"), directory("nix/store"), *made))


def test_the_layers_of_an_image_are_kept(terminal: Terminal) -> None:
    """The last one lies over a store path that a layer below has, as a launcher does."""
    image = [layer(GLIBC, ZLIB), layer(OPENSSL, PYTHON), layer(SHOP), layer(ZLIB)]
    SmallImage(image).write(terminal.directory / "old.oci")
    assert layers(terminal, "--plan-from", "old.oci") == KEPT
    assert plan(terminal, "--plan-from", "old.oci").stderr.startswith(
        "nix2oci: reading the layers of old.oci\nnix2oci: the plan of old.oci is kept; "
    )


def test_an_image_in_a_registry_is_read_there(terminal: Terminal, desk: Desk) -> None:
    desk.push()
    where = str(desk.reference())
    done = plan(terminal, "-q", "--json", "--plan-from", where)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"]["from"] == where


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="a list"),
        pytest.param({}, id="no layers"),
        pytest.param({"layers": 3}, id="layers as a number"),
        pytest.param({"layers": [[GLIBC]]}, id="layers without paths"),
        pytest.param({"layers": [{"paths": [1]}]}, id="paths that are numbers"),
        pytest.param({"layers": [{"paths": None}]}, id="no paths"),
        pytest.param({GLIBC: {"narSize": 1}}, id="a recorded closure"),
    ],
)
def test_what_is_no_plan_is_refused(terminal: Terminal, document: Any) -> None:
    earlier(terminal, document)
    done = plan(terminal, "--plan-from", "earlier.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: cannot read earlier plan earlier.json: it is not what --json of 'plan', 'build' "
        "or 'inspect' prints\n"
    )


def test_an_earlier_plan_that_is_not_there(terminal: Terminal) -> None:
    done = plan(terminal, "--plan-from", "gone.json")
    assert (done.returncode, done.stderr) == (
        8,
        "error: cannot read earlier plan gone.json: No such file or directory\n",
    )
    done = plan(terminal, "--plan-from", "gone.oci")
    assert (done.returncode, done.stderr) == (
        8,
        "error: cannot read image at gone.oci: No such file or directory\n",
    )


# --- in nix2oci.yaml ---------------------------------------------------------------------------


def test_files_are_relative_to_the_directory_of_nix2oci_yaml(terminal: Terminal) -> None:
    sub = terminal.directory / "sub"
    sub.mkdir()
    terminal.run("popularity", "--closure", "shop.json", "-o", "sub/index.json")
    (sub / "earlier.json").write_text(json.dumps(TWO))
    config = "layers:\n  popularity: index.json\n  plan-from: earlier.json\n  stable: [glibc]\n"
    (sub / "image.yaml").write_text(config)
    done = plan(terminal, "-q", "--json", "--config", "sub/image.yaml")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["popularity"]["closures"] == 1
    assert document["kept"]["from"] == "sub/earlier.json"


def test_a_flag_replaces_what_the_file_names(terminal: Terminal) -> None:
    earlier(terminal, TWO)
    (terminal.directory / "x.yaml").write_text("layers: {plan-from: not.json, volatile: [python3]}")
    options = ("--config", "x.yaml", "--plan-from", "earlier.json")
    assert layers(terminal, *options)[-1] == [PYTHON, SHOP]
    assert layers(terminal, *options, "--volatile", "glibc")[-1] == sorted(
        [GLIBC, OPENSSL, ZLIB, PYTHON, SHOP], key=lambda path: path.partition("-")[2]
    )


def test_an_image_in_a_registry_is_not_looked_for_in_the_directory(
    terminal: Terminal, desk: Desk
) -> None:
    desk.push()
    where = str(desk.reference())
    (terminal.directory / "sub").mkdir()
    (terminal.directory / "sub/x.yaml").write_text(f'layers: {{plan-from: "{where}"}}')
    done = plan(terminal, "-q", "--json", "--config", "sub/x.yaml")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"]["from"] == where
