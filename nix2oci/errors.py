"""What can go wrong, and the exit code that tells a script which part of the work it was.

    Nix2OCIError                    .hint, .exit_code
    ├── ConfigError             2   a flag, nix2oci.yaml or an environment variable
    │   └── InvalidReferenceError   a malformed name of an image
    ├── NixError                3   Nix is missing, did not evaluate, or was not understood
    │   ├── NixNotFoundError        there is no nix to run
    │   ├── NixCommandError         nix ended with an error; .argv .returncode .stderr
    │   └── NixOutputError          nix answered something that is not one of its known shapes
    ├── StoreError              4   a build failed, or the store does not hold what Nix says
    │   ├── BuildError              a derivation did not build
    │   ├── CaseHackError           a name may be one that a Mac's Nix made, or not; .place
    │   └── ClosureError            the closure is not closed, or not a graph that Nix can make
    ├── RepresentationError     5   an image cannot hold this
    │   └── ConflictError           two owners want one path of the image; .path .owners
    ├── NetworkError            6   a server cannot be reached, failed, or refused; .status
    │   └── RegistryError           it is a registry
    │       ├── AuthenticationError 7   it does not let us, or our credentials cannot be read
    │       └── NotAttachedError        the image is there, and something about it is not
    └── OutputError             8   reading or writing a file outside the store failed
        ├── LayoutError             a file or directory is not the image that it should be
        └── EngineError             docker, podman or containerd is not there, or refused an image

A message is `cannot <verb> <object>: <cause>`, or states the fact that is wrong.
What the reader can do about it is in `hint`.
"""

from __future__ import annotations

from typing import ClassVar


class Nix2OCIError(Exception):
    """Any failure that the user can be told in one line; anything else is a bug."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.image = ""
        """Which image of several it is about, where it is about one."""

    def __reduce__(self) -> tuple[object, ...]:
        """How it gets from one process to another: whatever its constructor asks for."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[Nix2OCIError], args: tuple[object, ...]) -> Nix2OCIError:
    """An error without its attributes; pickle sets these."""
    return kind.__new__(kind, *args)


class ConfigError(Nix2OCIError):
    """A flag, a key of nix2oci.yaml or an environment variable has no meaning."""

    exit_code = 2


class InvalidReferenceError(ConfigError):
    """A name of an image does not follow the grammar of the distribution specification."""


class NixError(Nix2OCIError):
    """Nix is missing, does not evaluate what was asked for, or was not understood."""

    exit_code = 3


class NixNotFoundError(NixError):
    """There is no nix that could be run."""


class NixCommandError(NixError):
    """A nix command ended with an error."""

    def __init__(
        self,
        message: str,
        *,
        argv: tuple[str, ...],
        returncode: int,
        stderr: str,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.argv = argv
        self.returncode = returncode
        self.stderr = stderr


class NixOutputError(NixError):
    """Nix answered with something that is not one of its known shapes."""


class StoreError(Nix2OCIError):
    """The store does not hold what Nix says, or it cannot be read."""

    exit_code = 4


class BuildError(StoreError):
    """A derivation did not build."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        cause: str = "",
        failed: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause
        """The end of the message: what Nix says."""
        self.failed = failed
        """As far as Nix says it: the derivation, and those that need it."""


class CaseHackError(StoreError):
    """A name may stand for another, at `place` in a store of which that is not known."""

    def __init__(self, message: str, place: bytes) -> None:
        super().__init__(message, hint="say which it is: --option use-case-hack true, or false")
        self.place = place


class ClosureError(StoreError):
    """The closure lacks a path that it refers to, or is no graph that Nix can make."""


class RepresentationError(Nix2OCIError):
    """Something that an image cannot hold, or that would be lost on the way."""

    exit_code = 5


class ConflictError(RepresentationError):
    """Two owners want one path of the image."""

    def __init__(self, path: str, owners: tuple[str, str]) -> None:
        super().__init__(f"cannot place {path}: both {owners[0]} and {owners[1]} provide it")
        self.path = path
        self.owners = owners


class NetworkError(Nix2OCIError):
    """A server cannot be reached, failed, or refused what was asked."""

    exit_code = 6

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        """Of its answer (RFC 9110); None when there was none."""


class RegistryError(NetworkError):
    """A registry cannot be reached, failed, or refused what was asked."""


class AuthenticationError(RegistryError):
    """A registry does not let us do it, or the credentials for it cannot be read."""

    exit_code = 7


class NotAttachedError(RegistryError):
    """An image is in a registry, and something that was to be attached to it is not."""

    def __init__(
        self, image: str, cause: str, hint: str | None = None, status: int | None = None
    ) -> None:
        message = f"cannot attach to {image}, which is there: {cause}"
        super().__init__(message, hint=hint, status=status)


class OutputError(Nix2OCIError):
    """A file outside the store cannot be read or written."""

    exit_code = 8


class LayoutError(OutputError):
    """A file or directory is not the image that it should be."""


class EngineError(OutputError):
    """An engine is not there, does not answer, or did not take an image."""
