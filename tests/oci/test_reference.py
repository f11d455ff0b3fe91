"""Names of images: what container tools take, in parts; anything else says which part is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import InvalidReferenceError
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest

HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DIGEST = Digest.parse("sha256:" + HEX)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("app", Reference("app"), id="a repository"),
        pytest.param("app:1.0", Reference("app", tag="1.0"), id="a tag"),
        pytest.param("team/app", Reference("team/app"), id="a namespace is no registry"),
        pytest.param("a/b/c/d", Reference("a/b/c/d"), id="many components"),
        pytest.param("localhost/app", Reference("app", "localhost"), id="localhost is a registry"),
        pytest.param("localhost", Reference("localhost"), id="localhost alone is a repository"),
        pytest.param("localhost:5000", Reference("localhost", tag="5000"), id="a tag, not a port"),
        pytest.param(
            "localhost:5000/app", Reference("app", "localhost:5000"), id="a port, not a tag"
        ),
        pytest.param(
            "ghcr.io/team/app:1.0", Reference("team/app", "ghcr.io", "1.0"), id="a registry"
        ),
        pytest.param("REG.example/app", Reference("app", "REG.example"), id="a host in capitals"),
        pytest.param("127.0.0.1:5000/a", Reference("a", "127.0.0.1:5000"), id="an IPv4 address"),
        pytest.param("[::1]:5000/a:t", Reference("a", "[::1]:5000", "t"), id="an IPv6 address"),
        pytest.param("[fe80::1]/a", Reference("a", "[fe80::1]"), id="an IPv6 address, no port"),
        pytest.param("a-b.example:80/x", Reference("x", "a-b.example:80"), id="a dash in a host"),
        pytest.param(f"app@sha256:{HEX}", Reference("app", digest=DIGEST), id="a digest"),
        pytest.param(
            f"h.example:80/a/b:t@sha256:{HEX}",
            Reference("a/b", "h.example:80", "t", DIGEST),
            id="all parts",
        ),
        pytest.param("a.b_c__d-e---f", Reference("a.b_c__d-e---f"), id="every separator"),
        pytest.param("app:A_.-", Reference("app", tag="A_.-"), id="what a tag may have"),
        pytest.param("app:_x", Reference("app", tag="_x"), id="a tag may begin with '_'"),
        pytest.param("app:" + "t" * 128, Reference("app", tag="t" * 128), id="the longest tag"),
        pytest.param("a" * 255, Reference("a" * 255), id="the longest repository"),
        pytest.param("0", Reference("0"), id="a digit"),
    ],
)
def test_a_name_is_read_in_parts_and_printed_as_it_was(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        pytest.param("", "'' is not a repository", None, id="nothing"),
        pytest.param("App", "'App' is not a repository", "use lower case: app", id="capitals"),
        pytest.param(
            "Team/App:1",
            "'Team/App' is not a repository",
            "use lower case: team/app",
            id="capitals",
        ),
        pytest.param(
            "ghcr.io/Team/app",
            "'Team/app' is not a repository",
            "use lower case: team/app",
            id="capitals behind a registry",
        ),
        pytest.param(":tag", "'' is not a repository", None, id="a tag alone"),
        pytest.param("app:", "'' is not a tag", None, id="an empty tag"),
        pytest.param("app:.x", "'.x' is not a tag", None, id="a tag that begins with a dot"),
        pytest.param("app:-x", "'-x' is not a tag", None, id="a tag that begins with a dash"),
        pytest.param("app:a b", "'a b' is not a tag", None, id="a space in a tag"),
        pytest.param("app:a:b", "'a:b' is not a tag", None, id="two tags"),
        pytest.param("app:a/b", "'app:a' is not a registry", None, id="a port that is no number"),
        pytest.param("app:" + "t" * 129, f"'{'t' * 129}' is not a tag", None, id="a long tag"),
        pytest.param("app:é", "'é' is not a tag", None, id="a letter that is not ASCII"),
        pytest.param("app@", "'' is not a digest", None, id="an empty digest"),
        pytest.param("app@x", "'x' is not a digest", None, id="a digest without algorithm"),
        pytest.param(
            f"app@sha512:{HEX}", f"'sha512:{HEX}' is not a digest", None, id="another algorithm"
        ),
        pytest.param(
            f"app@sha256:{HEX[:-1]}", f"'sha256:{HEX[:-1]}' is not a digest", None, id="too short"
        ),
        pytest.param(
            f"app@sha256:{HEX}:t", f"'sha256:{HEX}:t' is not a digest", None, id="a tag behind it"
        ),
        pytest.param("/app", "'/app' is not a repository", None, id="a slash in front"),
        pytest.param("app/", "'app/' is not a repository", None, id="a slash at the end"),
        pytest.param("a//b", "'a//b' is not a repository", None, id="a doubled slash"),
        pytest.param("a..b", "'a..b' is not a repository", None, id="two dots"),
        pytest.param("a___b", "'a___b' is not a repository", None, id="three underscores"),
        pytest.param("-app", "'-app' is not a repository", None, id="a dash in front"),
        pytest.param("app-", "'app-' is not a repository", None, id="a dash at the end"),
        pytest.param("a b", "'a b' is not a repository", None, id="a space"),
        pytest.param("../app", "'..' is not a registry", None, id="a parent directory"),
        pytest.param("./app", "'.' is not a registry", None, id="this directory"),
        pytest.param("h.example/", "'' is not a repository", None, id="a registry alone"),
        pytest.param("h.example:/a", "'h.example:' is not a registry", None, id="an empty port"),
        pytest.param(
            "h.example:123456/a", "'h.example:123456' is not a registry", None, id="a long port"
        ),
        pytest.param("h_.example/a", "'h_.example' is not a registry", None, id="'_' in a host"),
        pytest.param("-h.example/a", "'-h.example' is not a registry", None, id="a dash first"),
        pytest.param(
            "h-.example/a", "'h-.example' is not a registry", None, id="a dash before '.'"
        ),
        pytest.param("[::1/a", "'[::1' is not a registry", None, id="half a bracket"),
        pytest.param(
            "https://h.example/app", "'https:' is not a registry", None, id="an address of the web"
        ),
        pytest.param(
            "user:secret@h.example/app", "'h.example/app' is not a digest", None, id="a password"
        ),
        pytest.param("a" * 256, f"'{'a' * 256}' is not a repository", None, id="a long repository"),
    ],
)
def test_an_error_says_which_part_is_wrong(text: str, cause: str, hint: str | None) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse(text)
    assert str(caught.value) == f"cannot read image reference '{text}': {cause}"
    assert caught.value.hint == hint
    assert caught.value.exit_code == 2


def test_an_error_is_one_line_whatever_was_typed() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("app:1.0\n\x1b[2J\udcff")
    shown = "1.0\\n\\x1b[2J\\xff"
    assert str(caught.value) == (
        f"cannot read image reference 'app:{shown}': '{shown}' is not a tag"
    )


_COMPONENTS = st.from_regex(r"[a-z0-9]+((\.|_|__|-{1,3})[a-z0-9]+){0,2}", fullmatch=True)
_REFERENCES = st.builds(
    Reference,
    st.lists(_COMPONENTS, min_size=1, max_size=3)
    .map("/".join)
    .filter(lambda name: len(name) < 256),
    st.none()
    | st.from_regex(r"(localhost|[a-z0-9]{1,4}\.[a-z]{2,4})(:[0-9]{1,5})?", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.none() | st.binary(max_size=4).map(Digest.of),
).filter(
    # A first component with a dot is read as a registry: such a name has one of its own.
    lambda reference: (
        reference.registry is not None
        or "/" not in reference.repository
        or not set(reference.repository.partition("/")[0]) & set(".:")
    )
)


@given(_REFERENCES)
def test_any_reference_is_read_as_it_is_printed(reference: Reference) -> None:
    if reference.registry is None and reference.repository.startswith("localhost/"):
        return
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40))
def test_any_text_is_a_reference_that_prints_itself_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert str(reference) == text
