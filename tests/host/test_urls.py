"""Where a registry may send a client."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.host.http.addresses import Reach, reach
from nix2oci.host.http.urls import (
    followed,
    is_loopback,
    redacted,
    same_host,
    same_origin,
    with_query,
)

BASE = "https://registry.example.com/v2/a/blobs/uploads/"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/v2/a/x", "https://registry.example.com/v2/a/x", id="a path"),
        pytest.param("x?s=1", BASE + "x?s=1", id="a relative path"),
        pytest.param(
            "https://registry.example.com/x", "https://registry.example.com/x", id="whole"
        ),
        pytest.param(
            "/x?_state=a%2Fb&x=&=#f",
            "https://registry.example.com/x?_state=a%2Fb&x=&=",
            id="a query in any spelling, without the fragment",
        ),
        pytest.param(
            "https://registry.example.com:8443/x",
            "https://registry.example.com:8443/x",
            id="another port",
        ),
        pytest.param("https://s3.example.org/x", "https://s3.example.org/x", id="another host"),
        pytest.param(
            "//registry.example.com/x", "https://registry.example.com/x", id="its own name"
        ),
        pytest.param("https://8.8.8.8/x", "https://8.8.8.8/x", id="a public address"),
    ],
)
def test_an_address_is_followed(location: str, expected: str) -> None:
    assert followed(BASE, location) == expected


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        pytest.param(None, "it is missing", id="none"),
        pytest.param("", "it is missing", id="an empty one"),
        pytest.param("/x\r\nHost: y", "it is not an address", id="a line break"),
        pytest.param("/x y", "it is not an address", id="a space"),
        pytest.param("https://h:x/", "it is not an address", id="a port that is no number"),
        pytest.param("https://[h/", "it is not an address", id="half a bracket"),
        pytest.param("file:///etc/passwd", "'file:' is neither http nor https", id="a file"),
        pytest.param("gopher://x/", "'gopher:' is neither http nor https", id="another scheme"),
        pytest.param("https://:5000/x", "it has no host", id="no host"),
        pytest.param(
            "http://registry.example.com/x", "it leads from https to http", id="a downgrade"
        ),
        pytest.param(
            "//evil.example/x", "it names another host, evil.example, and no scheme", id="//evil"
        ),
        pytest.param(
            "https://a:b@registry.example.com/", "there is a user name in it", id="a user name"
        ),
        *(
            pytest.param(
                f"https://{host}/x", f"it leads to {name}, which is not a public address", id=host
            )
            for host, name in [
                ("127.0.0.1", "127.0.0.1"),
                ("10.1.2.3", "10.1.2.3"),
                ("169.254.169.254", "169.254.169.254"),
                ("[::1]", "::1"),
                ("[::ffff:10.0.0.1]", "::ffff:10.0.0.1"),
                ("[fe80::1]", "fe80::1"),
                ("localhost", "localhost"),
                ("x.localhost", "x.localhost"),
                ("127.1", "127.1"),
                ("2130706433", "2130706433"),
                ("0x7f000001", "0x7f000001"),
                ("localhost.", "localhost."),
                ("127.0.0.1.", "127.0.0.1."),
                ("[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
                ("[2002:a9fe:a9fe::1]", "2002:a9fe:a9fe::1"),
                ("168.63.129.16", "168.63.129.16"),
                ("100.100.100.200", "100.100.100.200"),
                ("0.0.0.0", "0.0.0.0"),
                ("224.0.0.1", "224.0.0.1"),
            ]
        ),
    ],
)
def test_an_address_is_refused(location: str | None, cause: str) -> None:
    with pytest.raises(ValueError, match=re.escape(cause)) as caught:
        followed(BASE, location)
    assert str(caught.value) == cause


LINK_LOCAL = ("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0")


@pytest.mark.parametrize(
    ("own", "near", "far"),
    [
        pytest.param(
            Reach.PRIVATE,
            ("10.0.0.5", "172.31.0.1", "192.168.1.1", "[fd12::1]", "[::ffff:10.0.0.1]", "8.8.8.8"),
            ("127.0.0.1", "localhost", "100.64.0.1", *LINK_LOCAL),
            id="of a private network",
        ),
        pytest.param(
            Reach.LOOPBACK,
            ("127.0.0.1", "[::1]", "localhost.", "127.1", "8.8.8.8"),
            ("10.0.0.5", "192.168.1.1", "[fd12::1]", *LINK_LOCAL),
            id="on this machine",
        ),
        pytest.param(Reach.PUBLIC, ("8.8.8.8",), ("10.0.0.5", "[::1]", *LINK_LOCAL), id="public"),
        pytest.param(Reach.NEVER, ("8.8.8.8",), ("10.0.0.5", "[::1]", *LINK_LOCAL), id="elsewhere"),
    ],
)
def test_a_registry_leads_no_farther_than_it_could_itself(
    own: Reach, near: tuple[str, ...], far: tuple[str, ...]
) -> None:
    for host in near:
        assert followed(BASE, f"https://{host}/x", own) == f"https://{host}/x"
    for host in far:
        with pytest.raises(ValueError, match="not a public address"):
            followed(BASE, f"https://{host}/x", own)


def test_a_host_may_always_name_itself() -> None:
    assert followed("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/x") == (
        "http://127.0.0.1:5001/x"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("https://a/", "https://a:5000/x", True, id="another port"),
        pytest.param("https://A/", "https://a/", True, id="capitals"),
        pytest.param("https://a/", "https://a.b/", False, id="a longer name"),
        pytest.param("https://a/", "https://a@b/", False, id="a user name that looks like it"),
    ],
)
def test_a_host_is_known_again(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert same_host(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("https://a/", "https://a:443/x", True, id="the port written or not"),
        pytest.param("https://A/", "https://a/", True, id="capitals"),
        pytest.param("https://a/", "https://a:5000/", False, id="another port"),
        pytest.param("http://a:443/", "https://a/", False, id="another scheme"),
        pytest.param("https://a/", "https://b/", False, id="another host"),
    ],
)
def test_who_may_see_a_secret_is_known(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert same_origin(one, other) is same


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1"])
def test_an_address_is_public(host: str) -> None:
    assert reach(host) is Reach.PUBLIC


@pytest.mark.parametrize("host", ["example.com", "a.1b", "localhost.example.com"])
def test_a_name_is_judged_when_it_is_resolved(host: str) -> None:
    assert reach(host) is None


@pytest.mark.parametrize(
    ("registry", "here"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("localhost.", True),
        ("127.0.0.1.:5000", True),
        ("10.0.0.1:5000", False),
        ("example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_this_machine_is_known(registry: str, here: bool) -> None:  # noqa: FBT001
    assert is_loopback(registry) is here


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://h/x", "https://h/x?digest=sha256:a", id="no query"),
        pytest.param(
            "https://h/x?s=a%2Fb&x=", "https://h/x?s=a%2Fb&x=&digest=sha256:a", id="a query"
        ),
    ],
)
def test_parameters_are_added_at_the_end(url: str, expected: str) -> None:
    assert with_query(url, digest="sha256:a") == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("https://h/x", "https://h/x", id="nothing secret"),
        pytest.param("https://u:p@h:5/x", "https://h:5/x", id="a user name and password"),
        pytest.param(
            "https://h/x?X-Amz-Signature=abc&digest=sha256:a&_state=s",
            "https://h/x?X-Amz-Signature=REDACTED&digest=sha256:a&_state=REDACTED",
            id="a signed address",
        ),
        pytest.param("https://h/x#secret", "https://h/x", id="a fragment"),
        pytest.param("https://[h/x", "REDACTED", id="what is no address"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown


HOSTS = st.sampled_from(
    ["registry.example.com", "evil.example", "10.0.0.1", "127.1", "[::1]", "localhost", "8.8.8.8"]
)
LOCATIONS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "http:", "https:", "file:", "//", "http://", "https://", "https://a@"]),
    HOSTS | st.text(max_size=6),
    st.sampled_from(["", ":5000", ":x"]),
    st.sampled_from(["", "/x", "/x?_state=a%2Fb", "/x#f"]),
)


@given(LOCATIONS)
def test_whatever_a_registry_says_it_leads_to_itself_or_to_a_public_host_with_tls(
    location: str,
) -> None:
    try:
        url = followed(BASE, location)
    except ValueError:
        return
    assert url.startswith("https://")
    target = reach(urlsplit(url).hostname or "localhost")
    assert same_host(url, BASE) or target in (None, Reach.PUBLIC)


@given(LOCATIONS, st.text("abcdefghij", min_size=12))
def test_what_is_secret_in_an_address_is_never_shown(location: str, secret: str) -> None:
    assert secret not in redacted(f"https://{secret}:{secret}@h/x?_state={secret}&t={secret}")
    redacted(location)
