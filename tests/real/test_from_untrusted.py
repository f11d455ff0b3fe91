"""What is in another store and Nix would not take: without signature, changed, or not whole."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.binary_cache import EXPRESSION, Completed, build, keys, out_path_of
from real.distro import nix
from support.tools import require

pytestmark = pytest.mark.nix


@dataclass(frozen=True)
class Tiny:
    """A binary cache of one small path that can be changed, with its parts."""

    url: str
    output: str
    narinfo: Path
    nar: Path
    secret: Path
    key: str

    def edit(self, key: str, value: str) -> None:
        """Change a line of the record."""
        text = self.narinfo.read_text()
        assert re.search(rf"^{key}: ", text, re.MULTILINE)
        self.narinfo.write_text(re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", text))

    def sign(self) -> None:
        nix("store", "sign", "--store", self.url, "--key-file", str(self.secret), self.output)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    require("nix")
    expression = EXPRESSION.replace("SYSTEM", f"{os.uname().machine}-linux")
    output = str(out_path_of(expression))
    directory = tmp_path / "tiny"
    url = f"file://{directory}"
    nix("copy", "--to", f"{url}?compression=none", output)
    (nar,) = directory.glob("nar/*")
    secret, public = keys(tmp_path)
    narinfo = directory / f"{Path(output).name[:32]}.narinfo"
    return Tiny(url, output, narinfo, nar, secret, public)


def built(tiny: Tiny, tmp_path: Path, *options: str, url: str = "") -> Completed:
    where = ("--from", url or tiny.url, "--store", str(tmp_path / "empty"))
    return build(tiny.output, *where, *options, "-o", tmp_path / "image")


def refused(tiny: Tiny, tmp_path: Path, *options: str) -> str:
    """The error of a build that fails with 4 and leaves nothing."""
    before = set(tmp_path.iterdir())
    done = built(tiny, tmp_path, *options)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "empty"}
    (error,) = re.findall(r"^error: (.*)$", done.stderr, re.MULTILINE)
    return str(error)


def untrusted(tiny: Tiny) -> str:
    return f"cannot use {tiny.url}: no key that Nix trusts has signed {tiny.output}"


def trusting(tiny: Tiny) -> tuple[str, ...]:
    return ("--option", "trusted-public-keys", tiny.key)


def test_a_path_that_nobody_signed_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    assert refused(tiny, tmp_path) == untrusted(tiny)
    assert refused(tiny, tmp_path, *trusting(tiny)) == untrusted(tiny)


def test_a_path_is_taken_that_a_trusted_key_signed(tiny: Tiny, tmp_path: Path) -> None:
    tiny.sign()
    assert refused(tiny, tmp_path) == untrusted(tiny)
    assert built(tiny, tmp_path, *trusting(tiny)).returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--no-check-sigs",), id="--no-check-sigs"),
        pytest.param(("--option", "require-sigs", "false"), id="require-sigs"),
    ],
)
def test_signatures_need_not_be_checked(
    tiny: Tiny, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert built(tiny, tmp_path, *options).returncode == 0


def test_a_store_can_be_trusted_in_its_url(tiny: Tiny, tmp_path: Path) -> None:
    assert built(tiny, tmp_path, url=f"{tiny.url}?trusted=true").returncode == 0


def test_a_record_that_was_changed_has_no_signature(tiny: Tiny, tmp_path: Path) -> None:
    tiny.sign()
    evil = tiny.nar.read_bytes().replace(b"y\n", b"z\n")
    tiny.nar.write_bytes(evil)
    tiny.edit("NarHash", nar_hash(evil))
    assert refused(tiny, tmp_path, *trusting(tiny)) == untrusted(tiny)


def nar_hash(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_content_addressed_path_needs_no_signature(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/run").write_bytes(b"\x7fELF")
    (tmp_path / "source/run").chmod(0o755)
    output = nix("store", "add-path", str(tmp_path / "source")).strip()
    nix("copy", "--to", tiny.url, output)
    where = ("--from", tiny.url, "--store", str(tmp_path / "empty"))
    done = build(output, *where, "--entrypoint", f"{output}/run", "-o", tmp_path / "image")
    assert done.returncode == 0, done.stderr


def test_a_content_address_is_no_pretext_for_other_content(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/run").write_text("#!/bin/sh\n")
    output = nix("store", "add-path", str(tmp_path / "source")).strip()
    nix("copy", "--to", f"{tiny.url}?compression=none", output)
    narinfo = tiny.narinfo.with_name(f"{Path(output).name[:32]}.narinfo")
    (url,) = re.findall(r"(?m)^URL: (.*)$", narinfo.read_text())
    nar = narinfo.parent / url
    nar.write_bytes(nar.read_bytes().replace(b"/bin/sh", b"/bin/no"))
    changed = Tiny(tiny.url, output, narinfo, nar, tiny.secret, tiny.key)
    changed.edit("NarHash", nar_hash(nar.read_bytes()))
    assert refused(changed, tmp_path, "--entrypoint", "/run") == untrusted(changed)


# --- faults ---------------------------------------------------------------------------------------


def test_a_nar_that_was_changed(tiny: Tiny, tmp_path: Path) -> None:
    tiny.nar.write_bytes(tiny.nar.read_bytes().replace(b"y\n", b"z\n"))
    said = refused(tiny, tmp_path, "--no-check-sigs")
    assert re.fullmatch(
        rf"cannot use {tiny.output}: what {tiny.url} sends does not match the hash in its "
        r"record: expected sha256-\S{44}, got sha256-\S{44}",
        said,
    )


def test_a_nar_that_ends_early(tiny: Tiny, tmp_path: Path) -> None:
    tiny.nar.write_bytes(tiny.nar.read_bytes()[:-8])
    said = refused(tiny, tmp_path, "--no-check-sigs")
    assert said.startswith(f"cannot read {tiny.output} from {tiny.url}: ")


def test_a_nar_that_is_gone(tiny: Tiny, tmp_path: Path) -> None:
    tiny.nar.unlink()
    said = refused(tiny, tmp_path, "--no-check-sigs")
    assert said.startswith(f"cannot read {tiny.output} from {tiny.url}: ")


def test_a_record_that_is_gone(tiny: Tiny, tmp_path: Path) -> None:
    tiny.narinfo.unlink()
    assert refused(tiny, tmp_path) == f"cannot read {tiny.output}: it is not in {tiny.url}"
