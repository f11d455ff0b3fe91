"""Credential helpers: the programs that docker and podman ask for a password.

`docker-credential-NAME get` reads the registry on standard input and answers with JSON, or says
on standard output that it knows nothing. Nothing that it says is ever shown: it may be a secret.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import IO

from msgspec import Struct

from nix2oci.host.children import started

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOTHING = ("credentials not found", "no credentials", "not found in native keychain")
_MAX_ANSWER = 64 << 10


class HelperError(Exception):
    """A helper did not do what it is for; the text says how, without its words."""


class HelperMissingError(HelperError):
    """There is no such program."""


class Secret(Struct, frozen=True):
    """What a helper knows; `<token>` for a user name means that the secret is an identity token."""

    username: str
    secret: str

    def __repr__(self) -> str:  # without what is secret
        return f"Secret(username={self.username!r})"


def ask(
    name: str, server: str, *, path: str, env: Mapping[str, str], seconds: float
) -> Secret | None:
    """What the helper `docker-credential-<name>` knows of a registry; None when nothing.

    Raises `HelperError` when it cannot be asked or does not answer within so many seconds.
    """
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name):
        raise HelperError("its name has characters that no program's name has")
    found = shutil.which(program, path=path)
    if found is None:
        raise HelperMissingError(f"there is no '{program}' on PATH")
    try:
        code, answer, complaint = _run([os.path.abspath(found), "get"], server, env, seconds)
    except TimeoutError as err:
        raise HelperError(f"'{program}' did not answer within {seconds:g} s") from err
    except OSError as err:
        raise HelperError(f"'{program}' cannot be started: {err.strerror}") from err
    if code:
        said = (answer + complaint).decode("utf-8", "replace").lower()
        if any(words in said for words in _NOTHING):
            return None
        raise HelperError(f"'{program}' ended with exit code {code}")
    return _secret(answer, program)


def _run(
    command: list[str], question: str, env: Mapping[str, str], seconds: float
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a program, which is ended when it says too much.

    Raises `HelperError` for that, `TimeoutError`, and `OSError` where it cannot be started.
    """
    pipe = subprocess.PIPE
    with started(
        *(command, 0), stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), bufsize=0
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        try:
            with suppress(BrokenPipeError), child.stdin:
                child.stdin.write(question.encode())
            answer, complaint = _read_all((child.stdout, child.stderr), seconds)
            if max(len(answer), len(complaint)) > _MAX_ANSWER:
                raise HelperError(f"'{os.path.basename(command[0])}' says more than a credential")
            return child.wait(seconds), answer, complaint
        except subprocess.TimeoutExpired:
            raise TimeoutError from None


def _read_all(pipes: tuple[IO[bytes], IO[bytes]], seconds: float) -> tuple[bytes, bytes]:
    """All that comes from two pipes, but of each little more than a credential has."""
    said = dict.fromkeys(pipes, b"")
    end = monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for number, pipe in enumerate(pipes):
            waiting.register(pipe, selectors.EVENT_READ, number)
        while waiting.get_map() and max(map(len, said.values())) <= _MAX_ANSWER:
            ready = waiting.select(end - monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                pipe = pipes[key.data]
                piece = os.read(pipe.fileno(), _MAX_ANSWER)
                said[pipe] += piece
                if not piece:
                    waiting.unregister(pipe)
    return said[pipes[0]], said[pipes[1]]


def _secret(answer: bytes, program: str) -> Secret | None:
    try:
        document = json.loads(answer[:_MAX_ANSWER])
        username, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        # Not `from err`: a JSON error carries the document.
        raise HelperError(f"'{program}' answered something that is not a credential") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise HelperError(f"'{program}' answered something that is not a credential")
    return Secret(username, secret) if secret else None
