"""A containerd that serves as long as a block lasts."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from real.engines import wait_until
from support.tools import require


@contextmanager
def containerd(state: Path) -> Iterator[str]:
    """A containerd of its own, for the length of a `with`: the address of its socket."""
    require("containerd", "ctr")
    address = state / "s"
    config = state / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{state}/containerd"\nstate = "{state}/containerd-run"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{address}"\n'
    )
    with (state / "containerd.log").open("wb") as log:
        argv = ("containerd", "--config", config)
        daemon = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(address), (state / "containerd.log").read_text)
        yield str(address)
    finally:
        daemon.terminate()
        daemon.wait(30)


def answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(address)) == 0
