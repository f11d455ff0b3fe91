"""Credential helpers: the programs that docker and podman ask for a password.

`docker-credential-NAME get` reads the registry on standard input and answers with JSON, or says
on standard output that it knows nothing. Nothing that it says is ever shown: it may be a secret.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from msgspec import Struct

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
        done = subprocess.run(  # noqa: S603  # a list of arguments, a checked name, and no shell
            [os.path.abspath(found), "get"],
            input=server.encode(),
            env=dict(env),
            capture_output=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as err:
        raise HelperError(f"'{program}' did not answer within {seconds:g} s") from err
    except OSError as err:
        raise HelperError(f"'{program}' cannot be started: {err.strerror}") from err
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").lower()
        if any(words in said for words in _NOTHING):
            return None
        raise HelperError(f"'{program}' ended with exit code {done.returncode}")
    return _secret(done.stdout, program)


def _secret(answer: bytes, program: str) -> Secret | None:
    try:
        document = json.loads(answer[:_MAX_ANSWER])
        username, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError):
        # Not `from err`: a JSON error carries the document.
        raise HelperError(f"'{program}' answered something that is not a credential") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise HelperError(f"'{program}' answered something that is not a credential")
    return Secret(username, secret) if secret else None
