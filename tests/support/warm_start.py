"""The program started in a process that has its modules already: a tenth of a second saved.

`run` asks a server, one for each process of the tests, which has loaded what the program loads, and
nothing that looks at the environment. The server forks, the child takes the streams, directory and
environment that it is sent, and does what the installed command does, its way out included. What a
start itself does is not seen so: who judges that starts `nix2oci` (tests/cli/test_start.py).
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import nix2oci

# These have looked at the environment, or at who started them, once they are loaded.
AFTER_THE_FORK = ("nix2oci.cli.", "nix2oci.__main__")
LIBRARIES = ("click", "yaml", "zstandard", "deflate", "urllib3", "concurrent.futures", "socket")
MULTIPROCESSING = ("multiprocessing.context", "multiprocessing.pool", "subprocess", "difflib")


def shows_the_same(env: Mapping[str, str]) -> bool:
    """Whether the interpreter would start no other way because of these variables."""
    usual = {"LC_ALL": "C.UTF-8"}
    return not any(
        name.startswith(("PYTHON", "LC_", "LANG", "COVERAGE", "LD_")) and usual.get(name) != value
        for name, value in env.items()
    )


def run(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with `capture_output` and `text`; `TimeoutExpired` as there."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_server()[0])
    with connection, open(os.devnull, "rb") as stdin:
        pipes = [os.pipe(), os.pipe()]
        asked = json.dumps({"argv": list(argv), "directory": str(directory), "env": dict(env)})
        data = asked.encode()
        streams = [stdin.fileno(), *(write for _, write in pipes)]
        socket.send_fds(connection, [len(data).to_bytes(8, "big")], streams)
        connection.sendall(data)
        for _, write in pipes:
            os.close(write)
        said = [""] * len(pipes)
        readers = [
            threading.Thread(target=_read, args=(read, said, at), daemon=True)
            for at, (read, _) in enumerate(pipes)
        ]
        for reader in readers:
            reader.start()
        process = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
        assert process, "the server of warm starts is gone"  # 0 is everybody, to a signal
        for reader in readers:
            reader.join(seconds)
            if reader.is_alive():
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(argv), seconds)
        status = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
    return subprocess.CompletedProcess(
        list(argv), os.waitstatus_to_exitcode(status), said[0], said[1]
    )


def _read(read: int, said: list[str], at: int) -> None:
    with open(read, encoding="utf-8") as stream:
        said[at] = stream.read()


@functools.cache
def _server() -> tuple[str, tempfile.TemporaryDirectory[str], subprocess.Popen[bytes]]:
    """The socket of the server of this process, and what has to live as long as it.

    What atexit alone holds goes in a child that multiprocessing forks, which forgets what is to be
    done at the end (Python 3.13): there the directory would be removed.
    """
    directory = tempfile.TemporaryDirectory(prefix="warm-")
    address = f"{directory.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, address],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"

    def stop() -> None:
        server.kill()
        server.communicate()
        directory.cleanup()

    atexit.register(stop)
    return address, directory, server


def _load() -> None:
    """Everything that the program loads in any of its commands."""
    for name in (*LIBRARIES, *MULTIPROCESSING):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(nix2oci.__path__, "nix2oci."):
        if not module.name.startswith(AFTER_THE_FORK):
            importlib.import_module(module.name)


def _serve(address: str) -> None:
    """Answer until killed. Returns in the child that is to be the program."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork() == 0:
                break
            connection.close()
    _become_the_program(connection)


def _become_the_program(connection: socket.socket) -> None:
    """Fork once more, since somebody has to wait for the program; returns in the child."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    size = int.from_bytes(head, "big")
    asked = json.loads(connection.recv(size, socket.MSG_WAITALL))
    program = os.fork()
    if program:
        for stream in streams:
            os.close(stream)
        connection.sendall(program.to_bytes(8, "big"))
        _, status = os.waitpid(program, 0)
        with suppress(OSError):  # nobody waits any more
            connection.sendall(status.to_bytes(8, "big"))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["directory"])  # noqa: TID251  # what a start is
    os.environ.clear()  # noqa: TID251
    os.environ.update(asked["env"])  # noqa: TID251
    sys.argv = asked["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])


if __name__ == "__main__":
    _load()
    gc.freeze()
    _serve(sys.argv[1])
    from nix2oci.cli import main

    main()
