"""What the user names, taken apart as Nix would."""

import pytest

from nix2oci.errors import ConfigError
from nix2oci.nix.installable import Installable, attribute_names

STORE_PATH = "/nix/store/ai6vwhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2"
# What is on the disk of these tests: two links to a store path, and the path.
LINKS = dict.fromkeys(("./result", "result", "result-dev", "nixpkgs", STORE_PATH), STORE_PATH)


def parse(text: str, file: str | None = None) -> Installable:
    return Installable.parse(text, file=file, leads_to=lambda path: LINKS.get(path, ""))


@pytest.mark.parametrize(
    ("text", "flake_ref", "attr", "outputs"),
    [
        pytest.param(".", ".", "", (), id="the default package here"),
        pytest.param(".#app", ".", "app", (), id="a package here"),
        pytest.param("#app", ".", "app", (), id="a package of no flake is of the one here"),
        pytest.param(".#a.b", ".", "a.b", (), id="a nested attribute"),
        pytest.param('.#"a.b".c', ".", '"a.b".c', (), id="a quoted attribute stays quoted"),
        pytest.param("path:/x y#a.b", "path:/x y", "a.b", (), id="a path with a space"),
        pytest.param("./sub", "./sub", "", (), id="a directory that is no link"),
        pytest.param(
            "nixpkgs", "nixpkgs", "", (), id="a name of the registry, though a link is so"
        ),
        pytest.param("./result#app", "./result", "app", (), id="a flake behind a link"),
        pytest.param(
            "github:o/r?dir=sub&ref=x#app", "github:o/r?dir=sub&ref=x", "app", (), id="parameters"
        ),
        pytest.param(".#pkg^out", ".", "pkg", ("out",), id="an output"),
        pytest.param(".#pkg^out,dev,out", ".", "pkg", ("out", "dev"), id="outputs, one twice"),
        pytest.param(".#pkg^*", ".", "pkg", ("*",), id="all outputs"),
        pytest.param(".^dev", ".", "", ("dev",), id="an output of the default package"),
        pytest.param("-x", "-x", "", (), id="a leading dash is no option"),
        pytest.param(".#$(touch x) 'y'", ".", "$(touch x) 'y'", (), id="what a shell would run"),
    ],
)
def test_a_flake_installable(
    text: str, flake_ref: str, attr: str, outputs: tuple[str, ...]
) -> None:
    found = parse(text)
    assert (found.kind, found.text) == ("flake", text)
    assert (found.flake_ref, found.attr, found.output_names) == (flake_ref, attr, outputs)
    assert found.operand == f"{flake_ref}#{attr}"
    assert found.at("apps.x") == f"{flake_ref}#apps.x"


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        pytest.param("./result", (), id="a link with a slash"),
        pytest.param("result", (), id="the link that nix build makes"),
        pytest.param("result-dev", (), id="the link that nix build makes for another output"),
        pytest.param(STORE_PATH, (), id="a store path"),
        pytest.param(f"{STORE_PATH}^out", ("out",), id="a store path with outputs"),
    ],
)
def test_a_store_path(text: str, outputs: tuple[str, ...]) -> None:
    found = parse(text)
    assert (found.kind, found.text, found.store_path) == ("path", text, STORE_PATH)
    assert found.output_names == outputs


@pytest.mark.parametrize(
    ("text", "attr", "operand"),
    [
        pytest.param("a.b", "a.b", "a.b", id="an attribute"),
        pytest.param("", "", ".", id="the whole file"),
        pytest.param(".", "", ".", id="the whole file, as Nix spells it"),
        pytest.param("./result", "./result", "./result", id="no links in a file"),
    ],
)
def test_an_attribute_of_a_file(text: str, attr: str, operand: str) -> None:
    found = parse(text, file="default.nix")
    assert (found.kind, found.file, found.attr) == ("file", "default.nix", attr)
    assert found.operand == operand


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        pytest.param("", None, "cannot use installable '': it is empty", id="nothing"),
        pytest.param("^out", None, "cannot use installable '^out': it is empty", id="outputs only"),
        pytest.param(
            ".#app^",
            None,
            "cannot use installable '.#app^': '' after '^' is not a list of outputs",
            id="no outputs",
        ),
        pytest.param(
            ".#app^a/b",
            None,
            "cannot use installable '.#app^a/b': 'a/b' after '^' is not a list of outputs",
            id="an output that is none",
        ),
        pytest.param(
            ".#a\0b",
            None,
            "cannot use installable '.#a\\x00b': it holds a null byte",
            id="a null byte",
        ),
        pytest.param(
            "a", "-", "cannot use --file '-': it has to be the name of a file", id="standard input"
        ),
        pytest.param(
            "a", "", "cannot use --file '': it has to be the name of a file", id="no file"
        ),
    ],
)
def test_what_names_nothing_is_refused(text: str, file: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, file)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("attr", "names"),
    [
        pytest.param("", (), id="none"),
        pytest.param("app", ("app",), id="one"),
        pytest.param("a.b", ("a", "b"), id="two"),
        pytest.param('a."b.c".d', ("a", "b.c", "d"), id="a quoted dot"),
        pytest.param(r'"a\"b"', ('a"b',), id="a quoted quote"),
    ],
)
def test_attribute_names(attr: str, names: tuple[str, ...]) -> None:
    assert attribute_names(attr) == names
