"""A docker-registry that serves as long as a block lasts."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from real.engines import wait_until
from real.ports import free_port, listens
from support.tools import require


@contextmanager
def registry(state: Path) -> Iterator[str]:
    """A registry of its own, for the length of a `with`: its host and port."""
    require("docker-registry")
    port = free_port()
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(state / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (state / "config.yml").write_text(json.dumps(config))
    with (state / "log").open("wb") as log:
        argv = ("docker-registry", "serve", state / "config.yml")
        server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), (state / "log").read_text)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
