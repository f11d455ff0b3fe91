"""`nix2oci why` from outside: what keeps a store path, and what would go with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.fakenix import OUT
from support.fakestore import Program, nar, sri, write
from support.json_page import documented
from support.smallimage import Json, Layer, SmallImage, directory, entry, link, tar
from support.smallimage import packed as packed_bytes
from support.terminal import APP, INFO, Terminal

WEB, PERL, SHELL, LIB, OLD_LIB = (
    f"/nix/store/{digit * 32}-{name}"
    for digit, name in zip(
        "01234", ("web-1.0", "perl-5.36", "bash-5.2", "lib-2.0", "lib-1.0"), strict=True
    )
)
STORE = (directory("nix"), directory("nix/store"))


def layer(path: str, files: Mapping[str, str]) -> Layer:
    made = [entry(f"{path[1:]}/{name}", text.encode()) for name, text in sorted(files.items())]
    return Layer(tar(*STORE, directory(path[1:], 0o555), *made))


IMAGE = (
    layer(LIB, {"so": "x" * 4000}),
    layer(OLD_LIB, {"so": "x"}),
    layer(SHELL, {"sh": f"{LIB} {OLD_LIB}"}),
    layer(PERL, {"perl": LIB + "x" * 2000}),
    layer(WEB, dict.fromkeys(("a", "b", "c", "d", "e"), f"#!{SHELL} {PERL}") | {"so": LIB}),
    Layer(tar(directory("bin"), link("bin/web", f"{WEB}/a"))),
)


def config(document: Json) -> None:
    document["config"] = {"Entrypoint": [f"{WEB}/a"]}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path)
    SmallImage(IMAGE, config=config).write(terminal.directory / "web.oci")
    return terminal


def test_why_a_path_is_in_an_image(terminal: Terminal) -> None:
    done = terminal.run("why", "-q", "web.oci", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    packed = sum(len(packed_bytes(IMAGE[n].plain)) for n in (1, 2))
    assert done.stdout == (
        f"{SHELL}\n"
        f"  416 B of NAR; without it 736 B ({packed} B of layers) would go, "
        "since only it keeps lib-1.0\n"
        "  1 store path refers to it\n"
        "\n"
        "  web-1.0  (entrypoint, /bin/web)\n"
        "     -> bash-5.2  (a, b, c and 2 more)\n"
    )


def test_chains_are_shown_the_shortest_first(terminal: Terminal) -> None:
    said = terminal.run("why", "-q", "web.oci", "lib-2.0").stdout
    assert said.partition("\n\n")[2] == (
        "  web-1.0  (entrypoint, /bin/web)\n"
        "     -> lib-2.0  (so)\n"
        "\n"
        "  web-1.0  (entrypoint, /bin/web)\n"
        "     -> bash-5.2  (a, b, c and 2 more)\n"
        "        -> lib-2.0  (sh)\n"
        "\n"
        "  web-1.0  (entrypoint, /bin/web)\n"
        "     -> perl-5.36  (a, b, c and 2 more)\n"
        "        -> lib-2.0  (perl)\n"
    )


def test_verbose_shows_every_file(terminal: Terminal) -> None:
    said = terminal.run("why", "-q", "-v", "web.oci", "perl").stdout
    assert "     -> perl-5.36  (a, b, c, d, e)\n" in said


def test_a_name_without_a_version_means_all_of_them(terminal: Terminal) -> None:
    said = terminal.run("why", "-q", "web.oci", "lib").stdout
    paragraphs = said.split("\n\n/nix")
    assert [text.splitlines()[0][-7:] for text in paragraphs] == ["lib-1.0", "lib-2.0"]


def test_a_root_is_there_for_itself(terminal: Terminal) -> None:
    said = terminal.run("why", "-q", "web.oci", WEB).stdout
    assert said.endswith(
        "  no other store path refers to it\n\n  web-1.0  (entrypoint, /bin/web)\n"
    )


def test_more_chains_than_are_shown_are_mentioned(terminal: Terminal) -> None:
    middle = [f"/nix/store/{digit * 32}-middle-{digit}" for digit in "bcdfghij"]
    layers = [
        layer(LIB, {"so": "x"}),
        *(layer(path, {"so": LIB}) for path in middle),
        layer(WEB, {"a": " ".join(middle)}),
    ]
    SmallImage(layers, config=config).write(terminal.directory / "many.oci")
    said = terminal.run("why", "-q", "many.oci", "lib").stdout
    assert said.count("-> lib-2.0") == 5
    assert said.endswith("\n\n  there are more chains, none of them shorter; -v shows more\n")
    assert terminal.run("why", "-q", "-v", "many.oci", "lib").stdout.count("-> lib-2.0") == 8
    document = json.loads(terminal.run("why", "--json", "many.oci", "lib").stdout)
    assert [path["complete"] for path in document["paths"]] == [False]


def test_json_has_the_keys_that_are_documented(terminal: Terminal) -> None:
    document = json.loads(terminal.run("why", "--json", "web.oci", "bash").stdout)
    (found,) = document["paths"]
    assert set(document) == documented("why", 0)
    assert set(found) == documented("why", 1)
    assert set(found["only_through"][0]) == documented("why", 2)
    assert found["chains"] == [
        {
            "reasons": ["entrypoint", "/bin/web"],
            "steps": [
                {"path": WEB, "files": ["a", "b", "c", "d", "e"]},
                {"path": SHELL, "files": []},
            ],
        }
    ]
    assert (set(found["chains"][0]), set(found["chains"][0]["steps"][0])) == (
        documented("why", 3),
        documented("why", 4),
    )
    assert found["saved"] == sum(each["nar_size"] for each in found["only_through"])
    assert found["referrers"] == [WEB]


# --- installables ------------------------------------------------------------------------------


def test_why_a_path_is_in_what_would_be_built(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    node = {b"bin": {b"app": Program(f"uses {LIB}".encode())}}
    for path, made in ((OUT, node), (LIB, b"a library")):
        place = Path(f"{terminal.fake.root}{path}")
        if path == OUT:
            (place / "bin").chmod(0o755)
            (place / "bin/app").chmod(0o755)
            (place / "bin/app").write_bytes(node[b"bin"][b"app"].content)
        else:
            write(os.fsencode(place), made)
    closure = {
        OUT: {**INFO[OUT], "narHash": sri(node), "narSize": len(nar(node)), "references": [LIB]},
        LIB: {"narHash": sri(b"a library"), "narSize": len(nar(b"a library")), "references": []},
    }
    terminal.fake.answer("path-info", json.dumps(closure))
    terminal.fake.rules.reverse()
    terminal.fake.nix()
    done = terminal.run("why", "-q", ".#app", "lib")
    assert (done.returncode, done.stderr) == (0, "")
    size = len(nar(b"a library"))
    assert done.stdout == (
        f"{LIB}\n"
        f"  {size} B of NAR; without it {size} B would go\n"
        "  1 store path refers to it\n"
        "\n"
        "  app-1.0  (an output that was named)\n"
        "     -> lib-2.0  (bin/app)\n"
    )
    assert APP[b"bin"] != node[b"bin"]
    assert terminal.left() == []


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message", "hint", "code"),
    [
        pytest.param(
            ("web.oci", "bsah"),
            "cannot explain 'bsah': no store path of web.oci has that name",
            "did you mean bash?",
            2,
            id="a misspelt name",
        ),
        pytest.param(
            ("web.oci", "li"),
            "cannot explain 'li': no store path of web.oci has that name",
            "did you mean lib?",
            2,
            id="a part of a name",
        ),
        pytest.param(
            ("web.oci", "gcc-13.2"),
            "cannot explain 'gcc-13.2': no store path of web.oci has that name",
            "see: nix2oci inspect -v web.oci",
            2,
            id="a name that is like no other",
        ),
        pytest.param(
            ("closure.json", "lib"),
            "cannot read closure.json: No such file or directory",
            None,
            8,
            id="a recorded closure that is not there",
        ),
        pytest.param(
            ("missing.oci", "lib"),
            "cannot read image at missing.oci: No such file or directory",
            None,
            8,
            id="an image that is not there",
        ),
    ],
)
def test_what_cannot_be_explained(
    args: tuple[str, str], message: str, hint: str | None, code: int, terminal: Terminal
) -> None:
    done = terminal.run("why", "-q", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines() == [f"error: {message}", *([f"hint: {hint}"] if hint else [])]


def test_what_is_not_there_is_told_what_lists_it(tmp_path: Path) -> None:
    done = Terminal.make(tmp_path).run("why", ".#app", "nosuch")
    assert done.stderr.splitlines()[-1] == "hint: see: nix2oci plan -v .#app"
