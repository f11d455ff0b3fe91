"""Development files in a closure: what is one, and what only looks like one."""

from __future__ import annotations

import pytest
from support.graphs import closure, info

from nix2oci.model.closure import Closure
from nix2oci.plan.development import development_files

MB = 1_000_000
TOOLCHAIN = (
    info("gcc-14.3.0", 200 * MB, "glibc-2.40-dev", "gcc-14.3.0-lib"),
    info("gcc-14.3.0-lib", 9 * MB, "glibc-2.40-dev", "glibc-2.40"),
    info("glibc-2.40-dev", 2 * MB, "linux-headers-6.12", "glibc-2.40"),
    info("linux-headers-6.12", 6 * MB),
    info("glibc-2.40", 31 * MB),
)


def app(*names: str) -> Closure:
    """An application that refers to paths that refer to nothing."""
    return closure(info("app", 1, *names), *(info(name, MB) for name in names))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            closure(info("app", 1, "gcc-14.3.0"), *TOOLCHAIN),
            ["gcc-14.3.0", "linux-headers-6.12", "glibc-2.40-dev"],
            id="a compiler and its headers, the largest first",
        ),
        pytest.param(
            closure(
                info("app", 1, "fastcc-1.0"),
                info("fastcc-1.0", MB, "musl-1.2-dev"),
                info("musl-1.2-dev", MB, "linux-headers-6.12"),
                info("linux-headers-6.12", 6 * MB),
            ),
            ["linux-headers-6.12", "fastcc-1.0", "musl-1.2-dev"],
            id="a compiler that nobody knows, by the headers it refers to",
        ),
        pytest.param(
            closure(
                info("app", 1, "nodejs-22.22"),
                info("nodejs-22.22", 90 * MB, "openssl-3.6-dev", "openssl-3.6"),
                info("openssl-3.6-dev", 2 * MB, "zlib-1.3-dev", "openssl-3.6"),
                info("zlib-1.3-dev", MB),
                info("openssl-3.6", 7 * MB),
            ),
            ["openssl-3.6-dev", "zlib-1.3-dev"],
            id="outputs for builds that a program refers to",
        ),
        pytest.param(app("go-1.25.4"), ["go-1.25.4"], id="the compiler of Go"),
        pytest.param(app("linux-libc-dev-6.1.140"), ["linux-libc-dev-6.1.140"], id="of Debian"),
        pytest.param(
            app("gcc-14.3.0-lib", "gcc-14.3.0-libgcc", "xgcc-14.3.0-libgcc"),
            [],
            id="libraries of a compiler",
        ),
        pytest.param(app("gcc-12-base-12.2.0"), [], id="a package of Debian without files"),
        pytest.param(
            app("python3-3.13", "perl-5.42", "go-migrate-4.18", "devbox", "cargo-dist-0.30"),
            [],
            id="interpreters, and names that begin alike",
        ),
        pytest.param(
            closure(
                info("gcc-wrapper-14.3.0", MB, "glibc-2.40-dev", "gcc-14.3.0"),
                *TOOLCHAIN,
                roots=("gcc-wrapper-14.3.0",),
            ),
            [],
            id="an image of a compiler",
        ),
    ],
)
def test_what_are_development_files(found: Closure, expected: list[str]) -> None:
    assert [path.name for path in development_files(found)] == expected
