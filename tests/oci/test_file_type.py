"""nix2oci.oci.file_type: what a file is, in the words of libmagic."""

import gzip

import pytest

from nix2oci.oci.file_type import file_kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        pytest.param(b"hello\n", "ASCII text", id="text"),
        pytest.param(gzip.compress(b"tar", mtime=0), "gzip compressed data", id="gzip"),
        pytest.param(b"%PDF-1.4\n", "PDF document", id="a document"),
        pytest.param(b"", "empty", id="nothing at all"),
    ],
)
def test_a_file_is_named_by_its_content(head: bytes, kind: str) -> None:
    assert file_kind(head) == kind
