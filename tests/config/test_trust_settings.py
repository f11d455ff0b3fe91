"""`trust` of nix2oci.yaml and its flags: what they mean, and whose key may sign."""

from __future__ import annotations

from typing import Any

import pytest

from nix2oci.config.image_spec import parse
from nix2oci.config.what_to_attach import Attaching, attaching_from_flags, trust_beside
from nix2oci.errors import ConfigError

BOTH = ("cyclonedx", "spdx")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param({}, Attaching(), id="nothing"),
        pytest.param({"attach": "sbom"}, Attaching(BOTH), id="one word"),
        pytest.param(
            {"attach": ["provenance", "sbom"]}, Attaching((*BOTH, "provenance")), id="in our order"
        ),
        pytest.param({"attach": "none"}, Attaching(()), id="none"),
        pytest.param({"attach": []}, Attaching(()), id="an empty list"),
        pytest.param({"sign-key": "env://K"}, Attaching(None, "env://K"), id="a key alone"),
    ],
)
def test_what_a_file_means(said: Any, meant: Attaching) -> None:
    assert parse({"trust": said}).trust == meant


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"attach": "licences"}, "expected sbom, cyclonedx", id="a word"),
        pytest.param({"attach": ["spdx", "spdx"]}, "'spdx' is there twice", id="twice"),
        pytest.param({"attach": ["none"]}, "expected sbom, cyclonedx", id="none among others"),
        pytest.param({"sign-key": ""}, "trust.sign-key: the text is empty", id="no key"),
        pytest.param({"sign_key": "k"}, "unknown key 'sign_key'", id="another spelling"),
        pytest.param("sbom", "expected a mapping", id="no mapping"),
    ],
)
def test_what_a_file_cannot_say(said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        parse({"trust": said})


def test_flags_count_before_the_file_and_none_is_said_too() -> None:
    file = Attaching(BOTH, "key.pem")
    assert attaching_from_flags(None, None).over(file) == file
    assert attaching_from_flags("none", None).over(file) == Attaching((), "key.pem")
    assert attaching_from_flags("provenance", "other").over(file) == Attaching(
        ("provenance",), "other"
    )


@pytest.mark.parametrize("words", ["", "sbom,", "sbom,none", "SBOM"])
def test_a_flag_has_words_that_are_known(words: str) -> None:
    with pytest.raises(ConfigError, match="--attach"):
        attaching_from_flags(words, None)


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        pytest.param("key.pem", "dir/key.pem", id="a file"),
        pytest.param("nix:key", "nix:dir/key", id="a key of Nix"),
        pytest.param("/k.pem", "/k.pem", id="an absolute path"),
        pytest.param("env://K", "env://K", id="a variable"),
    ],
)
def test_a_key_lies_beside_the_file_that_names_it(key: str, seen: str) -> None:
    assert trust_beside({"sign-key": key}, "dir", fetched=False) == {"sign-key": seen}


def test_a_flake_that_was_fetched_names_no_key_of_this_machine() -> None:
    from nix2oci.cli.steps.signing_key import signing_key  # noqa: PLC0415

    said = trust_beside({"sign-key": "env://HOME"}, "dir", fetched=True)["sign-key"]
    with pytest.raises(ConfigError) as caught:
        signing_key(str(said))
    assert str(caught.value).startswith("cannot sign with env://HOME: the nix2oci.yaml that names")
    assert caught.value.hint == "name the key yourself: --sign-key KEY"
