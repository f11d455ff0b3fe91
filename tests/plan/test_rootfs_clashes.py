"""Two owners of one name in the root: an error that names both, unless the contents are equal."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace
from support.storefiles import path_of
from support.surveys import (
    CACERT,
    OS_RELEASE,
    OTHER,
    PASSWD,
    SAME,
    TZDATA,
    closure_level,
    found,
)

from nix2oci.errors import ConflictError
from nix2oci.model.closure_contents import ClosureContents, digest_content
from nix2oci.plan.rootfs import rootfs
from nix2oci.plan.view_switches import ViewSwitches

OWN = "nix2oci's own"


@pytest.mark.parametrize(
    ("survey", "path", "owners"),
    [
        pytest.param(
            ClosureContents(programs=(found("b", "bin/x", OTHER), found("a", "bin/x", SAME))),
            "/usr/bin/x",
            (str(path_of("a")), str(path_of("b"))),
            id="two programs of one name",
        ),
        pytest.param(
            ClosureContents(places=(found("a", "etc/x", OTHER), found("b", "etc/x", SAME))),
            "/etc/x",
            (str(path_of("a")), str(path_of("b"))),
            id="two files of one name",
        ),
        pytest.param(
            ClosureContents(
                places=(
                    found("a", "etc/d", directory=True),
                    found("a", "etc/d/x", SAME),
                    found("b", "etc/d", directory=True),
                    found("b", "etc/d/x", OTHER),
                )
            ),
            "/etc/d/x",
            (str(path_of("a")), str(path_of("b"))),
            id="two files in a directory that both have",
        ),
        pytest.param(
            ClosureContents(
                places=(found("a", "etc/x", directory=True), found("b", "etc/x", SAME))
            ),
            "/etc/x",
            (str(path_of("a")), str(path_of("b"))),
            id="a directory and a file",
        ),
        pytest.param(
            ClosureContents(places=(found("fake-nss", "etc/passwd", SAME),)),
            "/etc/passwd",
            (f"{OWN} /etc/passwd", str(path_of("fake-nss"))),
            id="an output's passwd that leads out of the closure",
        ),
        pytest.param(
            ClosureContents(places=(found("a", "etc/passwd", directory=True),)),
            "/etc/passwd",
            (f"{OWN} /etc/passwd", str(path_of("a"))),
            id="a directory where the view has a file",
        ),
        pytest.param(
            ClosureContents(
                places=(found("a", "etc/os-release", SAME), found("b", "etc/os-release", OTHER))
            ),
            "/etc/os-release",
            (str(path_of("a")), str(path_of("b"))),
            id="the os-release of two outputs",
        ),
        pytest.param(
            ClosureContents(ca_bundle=CACERT, places=(found("a", "etc/ssl", SAME),)),
            "/etc/ssl",
            (f"{OWN} /etc/ssl", str(path_of("a"))),
            id="a file where the view has a directory",
        ),
        pytest.param(
            ClosureContents(
                ca_bundle=CACERT,
                places=(
                    found("a", "etc/ssl", directory=True),
                    found("a", "etc/ssl/cert.pem", OTHER),
                ),
            ),
            "/etc/ssl/cert.pem",
            (f"{OWN} /etc/ssl/cert.pem", str(path_of("a"))),
            id="other certificates",
        ),
        pytest.param(
            ClosureContents(
                services=closure_level("iana-etc", "etc/services"),
                places=(found("a", "etc/services", OTHER),),
            ),
            "/etc/services",
            (str(path_of("iana-etc")), str(path_of("a"))),
            id="other services",
        ),
    ],
)
def test_clash(survey: ClosureContents, path: str, owners: tuple[str, str]) -> None:
    part = "programs" if path.startswith("/usr/bin/") else "etc"
    with pytest.raises(ConflictError) as caught:
        rootfs(survey, ViewSwitches())
    assert str(caught.value) == (
        f"cannot place {path}: both {owners[0]} and {owners[1]} provide it"
    )
    assert (caught.value.path, caught.value.owners) == (path, owners)
    switch = f"all such links are left out with: --view no-{part}"
    expected = (
        "leave one of them out, give one a lower meta.priority in the flake (lib.hiPrio), "
        f"or say in 'files' what is there; {switch}"
    )
    if owners[0].startswith(OWN):
        expected = f"leave it out of the package; {switch}"
    assert caught.value.hint == expected
    assert rootfs(survey, replace(ViewSwitches(), **{part: False}))
    assert rootfs(survey, ViewSwitches(), decided=[path[1:].encode()])


def content_of(text: str) -> bytes:
    return digest_content(hashlib.sha256(text.encode()).digest())


@pytest.mark.parametrize(
    ("survey", "path", "expected"),
    [
        pytest.param(
            ClosureContents(places=(found("a", "etc/passwd", content_of(PASSWD)),)),
            b"etc/passwd",
            None,
            id="a passwd of the same bytes",
        ),
        pytest.param(
            ClosureContents(places=(found("a", "etc/os-release", content_of(OS_RELEASE)),)),
            b"etc/os-release",
            b"../usr/lib/os-release",
            id="an os-release of the same bytes",
        ),
        pytest.param(
            ClosureContents(
                services=closure_level("iana-etc", "etc/services"),
                places=(found("iana-etc", "etc/services", SAME), found("b", "etc/services", SAME)),
            ),
            b"etc/services",
            f"{path_of('iana-etc')}/etc/services".encode(),
            id="the very services that the view links to, twice",
        ),
        pytest.param(
            ClosureContents(
                zoneinfo=TZDATA, places=(found("a", "etc/zoneinfo", SAME, directory=True),)
            ),
            b"etc/zoneinfo",
            TZDATA.target,
            id="a link to the same time zones",
        ),
        pytest.param(
            ClosureContents(
                ca_bundle=CACERT,
                places=(
                    found("a", "etc/pki", directory=True),
                    found("a", "etc/pki/tls", directory=True),
                    found("a", "etc/pki/tls/certs", directory=True),
                    found("a", "etc/pki/tls/certs/ca-bundle.crt", SAME),
                ),
            ),
            b"etc/pki/tls/certs/ca-bundle.crt",
            b"../../../ssl/certs/ca-certificates.crt",
            id="the same certificates by another name",
        ),
    ],
)
def test_equal_contents_do_not_clash(
    survey: ClosureContents, path: bytes, expected: bytes | None
) -> None:
    entry = rootfs(survey, ViewSwitches()).get(path)
    assert entry is not None
    assert getattr(entry, "target", None) == expected
