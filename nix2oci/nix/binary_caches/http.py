"""The files of a binary cache on the web.

The hard part is a line that is cut: a request is made again, and a download goes on where it ended.
Where the cache leads a client is judged as it is for registries.
"""

from __future__ import annotations

import base64
import netrc
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from threading import Event
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec.structs import replace

from nix2oci.errors import ConfigError, NetworkError, OutputError, StoreError
from nix2oci.host.http.authorities import OneFile, ca_file
from nix2oci.host.http.line import Advice, Line
from nix2oci.host.http.proxies import Proxies
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import TEMPORARY, Health, Patience, persist
from nix2oci.host.http.transport import Answer, Request, Transport
from nix2oci.host.http.urls import REDIRECTS, followed, same_origin
from nix2oci.host.regular_files import open_file
from nix2oci.nix.binary_caches.cache_files import NarFile, Web
from nix2oci.nix.messages import redact
from nix2oci.text import display

T = TypeVar("T")

_MAX_REDIRECTS = 10
_ABSENT = frozenset({403, 404, 410})
"""Statuses of what is not there; S3 says 403 to whoever may not list what is."""
_PATIENCE = Patience(first_wait=0.25)
"""As Nix has it: there is much to ask for, and each is small."""
_IN_MEMORY = 1 << 22
"""Bytes of a NAR that need no file; a few are on their way at once."""
_PROGRESS = 1 << 16
"""Bytes that count as one."""
_ADVICE = Advice(untrusted="SSL_CERT_FILE names a file with the certificates to trust")


class WebFiles:
    """The files below an address; for any number of threads, and for processes that are forked."""

    def __init__(self, url: str, web: Web, netrc_file: str) -> None:
        """`url` may have a user name and password; else `netrc_file` is asked for them.

        Raises `ConfigError` for what is no address, and for a file that cannot be read.
        """
        if not _is_address(url):
            raise ConfigError(f"cannot use --from {redact(url)}: it is no address")
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/", "", ""))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        self._proof = _proof(user, password) if user else _known(parts.hostname or "", netrc_file)
        self._web = web
        self._health = Health()
        self._line = Line(
            host,
            web.clock,
            OneFile(ca_file(web.env)),
            Proxies.named_in(web.env),
            web.user_agent,
            connections=16,
            advice=_ADVICE,
        )
        self._transports: dict[int, Transport] = {}
        self._lock = threading.Lock()

    def read(self, name: str, most: int, purpose: str, stop: Event) -> bytes | None:
        """A small file, None where it is not there; raises `NetworkError` and `StoreError`."""

        def ask() -> bytes | None:
            with self._send(self._base + name, {}) as answer:
                if answer.status in _ABSENT:
                    return None
                self._check(answer, 200)
                return answer.read(most + 1)

        found = self._persist(ask, purpose, stop)
        if found is not None and len(found) > most:
            raise StoreError(f"cannot {purpose}: {name} is larger than {most} bytes")
        return found

    def open(self, nar: NarFile, scratch: str, purpose: str, stop: Event) -> IO[bytes]:
        """A compressed NAR; one that is asked for again stays in the directory `scratch`.

        Raises `NetworkError`, `StoreError` for one that is not there or has another size, and
        `OutputError`.
        """
        place = os.path.join(scratch, nar.name)
        try:
            if os.path.exists(place):
                return open_file(place)
            if nar.most <= _IN_MEMORY and not nar.again:
                return self._fetched(nar, BytesIO(), purpose, stop)
            part = f"{place}.{os.getpid()}-{threading.get_ident()}"
            file = self._fetched(nar, open(part, "w+b"), purpose, stop)  # noqa: SIM115  # handed on
            if nar.again:
                os.replace(part, place)
            else:
                os.unlink(part)  # it goes when it is closed, best before it was written to the disk
        except OSError as err:
            raise OutputError(
                f"cannot write to {scratch}: {err.strerror}",
                hint="TMPDIR may name another directory",
            ) from err
        return file

    def _fetched(self, nar: NarFile, file: IO[bytes], purpose: str, stop: Event) -> IO[bytes]:
        """The file, with all that it is to hold, at its start; closed when that goes wrong."""
        download = _Download(nar, file, purpose)
        try:
            self._persist(lambda: self._go_on(download), purpose, stop)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _go_on(self, download: _Download) -> None:
        """Get what is missing of a file."""
        try:
            url = followed(self._base, download.nar.url, self._transport.reach)
        except ValueError as err:
            where = f"{display(download.nar.url.encode())}: {err}"
            raise StoreError(f"cannot {download.purpose}: its NAR cannot be at {where}") from err
        have = download.have
        with self._send(url, {"Range": f"bytes={have}-"} if have else {}) as answer:
            if answer.status in _ABSENT:
                raise StoreError(f"cannot {download.purpose}: its NAR is not there")
            if answer.status == 206:
                begin = (answer.header("Content-Range") or "").removeprefix("bytes ")
                if begin.partition("-")[0] != str(have):
                    download.restart()
                    raise RequestError(f"{answer.shown} gave another part", temporary=True)
            elif answer.status == 416:
                download.restart()
                raise RequestError(f"{answer.shown} answered 416", temporary=True)
            else:
                self._check(answer, 200)
                download.restart()
            download.take(answer)

    def _send(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer that is no redirect; raises `RequestError`."""
        answer = self._exchange(url, headers)
        redirects = 0
        while answer.status in REDIRECTS and answer.header("Location"):
            answer.close()
            redirects += 1
            if redirects > _MAX_REDIRECTS:
                raise RequestError(f"{answer.shown}: redirected more than {_MAX_REDIRECTS} times")
            with _refused(f"{answer.shown} is redirected, and "):
                url = followed(answer.url, answer.header("Location"), self._transport.reach)
            answer = self._exchange(url, headers)
        return answer

    def _exchange(self, url: str, headers: Mapping[str, str]) -> Answer:
        own = same_origin(url, self._base) and self._proof
        proof = {"Authorization": self._proof} if own else {}
        answer = self._transport.exchange(Request("GET", url, {**headers, **proof}))
        self._health.answered(answer.status)
        return answer

    @property
    def _transport(self) -> Transport:
        """Connections of this process: one that was forked must not use those of its parent."""
        process = os.getpid()
        with self._lock:
            if process not in self._transports:
                self._transports[process] = Transport(self._line)
            return self._transports[process]

    def _check(self, answer: Answer, expected: int) -> None:
        if answer.status == expected:
            return
        hint = "a file that Nix's setting netrc-file names may have the password"
        raise RequestError(
            f"{answer.shown} answered {answer.status}",
            hint=hint if answer.status == 401 else None,
            status=answer.status,
            temporary=answer.status in TEMPORARY,
            retry_after=answer.header("Retry-After"),
        )

    def _persist(self, work: Callable[[], T], purpose: str, stop: Event) -> T:
        try:
            return persist(
                work,
                patience=self._patience,
                health=self._health,
                clock=self._web.clock,
                stop=stop,
                note=self._web.note,
            )
        except RequestError as err:
            # Not `from err`: what a library says may hold an address with a secret in it.
            message = f"cannot {purpose}: {err.cause}"
            raise NetworkError(message, hint=err.hint, status=err.status) from None

    def _patience(self) -> Patience:
        """Less, as long as the cache never answered: it may be a slip in its name."""
        return _PATIENCE if self._health.met else replace(_PATIENCE, tries=2)


class _Download:
    """A file on its way."""

    def __init__(self, nar: NarFile, file: IO[bytes], purpose: str) -> None:
        self.nar = nar
        self.purpose = purpose
        self.have = 0
        self._file = file
        self._furthest = 0

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.have = 0

    def take(self, answer: Answer) -> None:
        """All that an answer has; `RequestError` where that ends too early."""
        try:
            while piece := answer.piece():
                self.have += len(piece)
                if self.have > self.nar.most:
                    raise StoreError(f"cannot {self.purpose}: its NAR is longer than it can be")
                self._file.write(piece)
            if self.have < (self.nar.size or 0):
                self._ended(answer)
        except RequestError as err:
            err.progress = self.have - self._furthest >= _PROGRESS
            self._furthest = max(self._furthest, self.have)
            raise

    def _ended(self, answer: Answer) -> None:
        if answer.length() is None:
            raise RequestError(f"{answer.shown}: the connection was closed", temporary=True)
        raise StoreError(f"cannot {self.purpose}: its NAR ends early")


@contextmanager
def _refused(purpose: str) -> Iterator[None]:
    """Turn the `ValueError` of an address that may not be followed into a `RequestError`."""
    try:
        yield
    except ValueError as err:
        raise RequestError(f"{purpose}{err}") from None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False


def _proof(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _known(host: str, netrc_file: str) -> str:
    """What proves who we are to a host; `""` where no file has that."""
    try:
        found = netrc.netrc(netrc_file).authenticators(host)
    except (FileNotFoundError, PermissionError):
        return ""
    except (netrc.NetrcParseError, OSError, ValueError) as err:
        name = display(os.fsencode(netrc_file))
        raise ConfigError(f"cannot read {name}, the netrc-file of Nix") from err
    return _proof(found[0], found[2] or "") if found else ""
