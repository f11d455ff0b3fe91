"""Listening to a child: nothing that it wrote is lost, however late it wrote it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from nix2oci.nix.messages import Relay
from nix2oci.nix.process import communicate


@dataclass
class Late:
    """A process that writes and ends in the moment in which it is asked whether it has ended."""

    stdout: BinaryIO = field(init=False)
    stderr: BinaryIO | None = None
    end: int = -1

    def __post_init__(self) -> None:
        reader, self.end = os.pipe()
        self.stdout = open(reader, "rb", buffering=0)  # noqa: SIM115

    def poll(self) -> int | None:
        if self.end >= 0:
            os.write(self.end, b"the answer")
            os.close(self.end)
            self.end = -1
        return 0

    def wait(self) -> int:
        return 0


def test_what_is_written_just_before_the_end_is_read() -> None:
    late = Late()
    with late.stdout:
        child = cast("subprocess.Popen[bytes]", late)
        assert communicate(child, Relay(lambda _: None, set())) == b"the answer"
