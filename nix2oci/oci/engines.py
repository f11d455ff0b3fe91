"""Loading images into the engines of this machine: Docker, podman and containerd.

An engine is spoken to through its own command on PATH, since that is what its user has set up:
contexts, sockets of a rootless daemon, hosts behind ssh. The image goes through the command's
standard input as an archive, so nothing is written to disk for it. The hard part is not to trust
it: what the engine has under the name afterwards is compared with what was sent.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import IO, Literal

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import EngineError
from nix2oci.host.children import started
from nix2oci.host.scratch import scratch_directory
from nix2oci.oci.layout.archive import Sink, chunks, write_archive
from nix2oci.oci.layout.names import Entry, archive_documents, qualified
from nix2oci.oci.layout.source import ImageSource, host_platform
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Descriptor, Digest, Platform
from nix2oci.text import display

EngineName = Literal["docker", "podman", "containerd"]

_TO_END = 4.0
"""Seconds that a command has to end by itself when it is told to."""
_MAX_WORDS = 400
_DIGEST = re.compile(rb"(?:sha256:)?\b([0-9a-f]{64})\b")
_WORDS_BEGIN = re.compile(r"(?i)(error|fatal|cannot|ctr:|fata\[)")
_PREFIXES = ("Error: ", "Error response from daemon: ", "ctr: ")


class _Command(Struct, frozen=True):
    """How one engine is asked; what is printed is read for a platform or a digest alone."""

    program: str
    asks: tuple[str, ...]
    """Fails where the engine does not answer; else may print its platform."""
    load: tuple[str, ...]
    """Takes an archive on standard input."""
    look: tuple[str, ...]
    """With a name after it: prints the digest that the engine has the image by."""
    start: str
    """What to do where it does not answer."""


_COMMANDS: Mapping[EngineName, _Command] = {
    "docker": _Command(
        "docker",
        ("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"),
        ("load",),
        ("image", "inspect", "--format", "{{.Id}}"),
        "start Docker, or name its socket with DOCKER_HOST or 'docker context use'",
    ),
    "podman": _Command(
        "podman",
        ("info", "--format", "{{.Host.OS}}/{{.Host.Arch}}"),
        ("load",),
        ("image", "inspect", "--format", "{{.Id}}"),
        "'podman info' must work",
    ),
    "containerd": _Command(
        "ctr",
        ("version",),
        ("images", "import", "--platform", "PLATFORM", "-"),
        ("images", "list"),
        "start containerd, or name its socket with CONTAINERD_ADDRESS; it may need root",
    ),
}


class Loaded(Struct, frozen=True):
    """An image that an engine has now."""

    names: tuple[str, ...]
    """What the engine knows it by; its `run` takes each."""
    id: Digest
    """The digest that the engine shows of it: of the configuration or, for some, the manifest."""
    said: str
    """What the command said meanwhile."""


class Engine(Struct, frozen=True, dict=True):
    """An engine of this machine; `env` is the whole environment of its command.

    `namespace` is one of containerd's, None for what the command takes by itself. Methods raise
    `EngineError`.
    """

    name: EngineName
    env: Mapping[str, str]
    namespace: str | None = None
    patience: float = 30.0
    """Seconds for an answer. Loading has no limit: an engine unpacks large images in silence."""

    @cached_property
    def platform(self) -> Platform:
        """The platform of the engine, which may be on another machine; proof that it answers.

        It is this machine's where the engine does not say.
        """
        done = self._ask(self._command.asks)
        if done.returncode:
            raise EngineError(
                f"cannot load into {self.name}: {done.words}", hint=self._command.start
            )
        found = re.fullmatch(r"(\w+)/(\w+)", done.stdout.decode(errors="replace").strip())
        return Platform(found[2], found[1]) if found else host_platform()

    def fitting(self, platforms: Sequence[Platform]) -> Platform | None:
        """The one of several that it runs: engines do not always say which variant of arm."""
        wanted = self.platform
        for one in platforms:
            same = (one.os, one.architecture) == (wanted.os, wanted.architecture)
            if same and wanted.variant in (None, one.variant):
                return one
        return None

    def known_as(self, name: Reference) -> str:
        """The name that the engine has an image under, registry and all where it wants that."""
        name = name.tagged()
        if self.name == "podman" and name.registry is None:
            return str(replace(name, registry="localhost"))
        return qualified(name) if self.name == "containerd" else str(name)

    def load(
        self,
        image: ImageSource,
        names: Sequence[Reference],
        done: Callable[[int], None] = lambda _: None,
    ) -> Loaded:
        """Load one image, and check that the engine has it; `done` is told of bytes sent."""
        known = tuple(map(self.known_as, names))
        platform = str(image.platform())
        argv = tuple(platform if word == "PLATFORM" else word for word in self._command.load)
        with self._env_of_load() as env:
            finished = self._run(
                argv, lambda out: _write(_Counted(out, done), image, known), env=env
            )
        if finished.returncode:
            raise EngineError(f"cannot load {known[0]} into {self.name}: {finished.words}")
        found = [self._found(name, image) for name in known]
        return Loaded(known, found[0], finished.said)

    def _found(self, known: str, image: ImageSource) -> Digest:
        """What the engine has under the name; `EngineError` unless it is this image."""
        name = f"name=={known}" if self.name == "containerd" else known
        looked = self._ask((*self._command.look, name))
        digest = _DIGEST.search(looked.stdout)
        if looked.returncode or not digest:
            words = looked.words if looked.returncode else "it is not there afterwards"
            raise EngineError(f"cannot load {known} into {self.name}: {words}")
        found = Digest(f"sha256:{digest[1].decode()}")
        ours = (image.config_descriptor().digest, image.descriptor.digest)
        if found not in ours:
            raise EngineError(
                f"cannot load {known} into {self.name}: it has {found} under that name now, "
                f"which is neither the configuration {ours[0]} nor the manifest {ours[1]}",
                hint="does something else load or tag the same name?",
            )
        return found

    @contextmanager
    def _env_of_load(self) -> Iterator[Mapping[str, str]]:
        """The environment, with a directory for the copy of an archive that is made while it loads.

        podman leaves that copy when it is ended, among temporary files. Where no directory can be
        made, the environment is as it was: podman is on another machine, or says what it lacks.
        """
        with ExitStack() as stack:
            env = dict(self.env)
            if home := self._copies_in():
                with suppress(OSError):
                    env["TMPDIR"] = stack.enter_context(scratch_directory(home))
            yield env

    def _copies_in(self) -> str | None:
        """The directory for copies of archives; None for an engine that makes none here."""
        if self.name != "podman":
            return None
        if named := self.env.get("TMPDIR"):
            return named
        asked = self._ask(("info", "--format", "{{.Store.ImageCopyTmpDir}}"))
        return None if asked.returncode else asked.stdout.decode(errors="replace").strip()

    @property
    def _command(self) -> _Command:
        return _COMMANDS[self.name]

    def _ask(self, arguments: tuple[str, ...]) -> _Finished:
        """Run what a daemon that works answers at once."""
        try:
            return self._run(arguments, limit=self.patience)
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"cannot load into {self.name}: '{self._command.program} {arguments[0]}' has not "
                f"answered for {self.patience:g} seconds",
                hint=self._command.start,
            ) from error

    def _run(
        self,
        arguments: tuple[str, ...],
        feed: Callable[[IO[bytes]], None] | None = None,
        limit: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> _Finished:
        program = self._command.program
        namespace = ("--namespace", self.namespace) if self.namespace else ()
        with self._pages() as (out, err):
            argv = (program, *namespace, *arguments)
            stdin = subprocess.PIPE if feed else subprocess.DEVNULL
            with self._started(argv, stdin, out, err, env or self.env) as process:
                _attend(process, feed, limit)
            out.seek(0)
            err.seek(0)
            return _Finished(process.returncode, out.read(), err.read())

    @contextmanager
    def _started(
        self,
        argv: tuple[str, ...],
        stdin: int,
        out: IO[bytes],
        err: IO[bytes],
        env: Mapping[str, str],
    ) -> Iterator[subprocess.Popen[bytes]]:
        with ExitStack() as stack:
            child = started(argv, _TO_END, stdin=stdin, stdout=out, stderr=err, env=env)
            try:
                process = stack.enter_context(child)
            except FileNotFoundError as error:
                raise EngineError(
                    f"cannot load into {self.name}: there is no '{argv[0]}' on PATH",
                    hint="install it, or write an archive with -o PATH.tar",
                ) from error
            except OSError as error:
                raise EngineError(
                    f"cannot load into {self.name}: cannot run '{argv[0]}': {error.strerror}"
                ) from error
            yield process

    @contextmanager
    def _pages(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Two files for what the command says: pipes would have to be read while it is fed."""
        with ExitStack() as stack:
            try:
                out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            except OSError as error:
                raise EngineError(
                    f"cannot load into {self.name}: cannot make a temporary file: {error.strerror}",
                    hint="TMPDIR names the directory for them",
                ) from error
            yield out, err


class _Finished(Struct, frozen=True):
    """A command that has ended."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        return (self.stdout + self.stderr).decode(errors="replace").strip()

    @property
    def words(self) -> str:
        """Why it failed, in its own words and in one line."""
        lines = [line.strip() for line in self.stderr.decode(errors="replace").splitlines()]
        lines = [line for line in lines if line] or [f"it ended with exit code {self.returncode}"]
        begin = [at for at, line in enumerate(lines) if _WORDS_BEGIN.match(line)]
        text = " ".join(lines[begin[0] :] if begin else lines[-1:])
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix)
        text = display(text.encode())
        return text if len(text) <= _MAX_WORDS else text[:_MAX_WORDS] + "…"


def _attend(
    process: subprocess.Popen[bytes],
    feed: Callable[[IO[bytes]], None] | None,
    limit: float | None,
) -> None:
    """Feed a process and wait for its end, `limit` seconds at most.

    One that ends before it has read everything says why itself. Raises `TimeoutExpired`.
    """
    if feed and process.stdin:
        with suppress(BrokenPipeError):
            feed(process.stdin)
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.wait(limit)


class _Counted(Struct, frozen=True):
    """A sink that tells how much went into it."""

    out: IO[bytes]
    done: Callable[[int], None]

    def write(self, data: bytes | memoryview, /) -> int:
        self.out.write(data)
        self.done(len(data))
        return len(data)


def _write(out: Sink, image: ImageSource, known: Iterable[str]) -> None:
    """The image as an archive: what `Staging.finish` writes, of an image that is elsewhere."""
    names = [Reference.parse(each) for each in known]
    config, layers = image.config_descriptor(), image.layers()
    digests = (each.digest for each in layers)
    documents = archive_documents([Entry.of_image(image.descriptor, names, config.digest, digests)])
    blobs = {blob.digest: blob for blob in (image.descriptor, config, *layers)}
    write_archive(out, documents, _contents(image, sorted(blobs.values(), key=_hex)))


def _hex(descriptor: Descriptor) -> str:
    return descriptor.digest.hex


def _contents(
    image: ImageSource, blobs: Iterable[Descriptor]
) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    for blob in blobs:
        yield blob.digest.hex, blob.size, _content(image, blob)


def _content(image: ImageSource, blob: Descriptor) -> Iterator[bytes]:
    with image.blobs.open(blob.digest) as file:
        yield from chunks(file)
