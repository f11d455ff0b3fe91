"""Layers of an image that go to a repository while the next ones are made.

The hard part is that workers are forked to make layers, which cannot be while other threads run. So
a layer that is added only waits, until `go_on` is called by whoever knows that the workers are
there; and before others are forked the threads come to `rest`.

Nothing refers to what is sent here until the image is pushed. If that never happens the blobs are
for the registry to collect, as after any push that is cut off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Condition, Thread
from typing import Literal

from nix2oci.errors import OutputError
from nix2oci.host.http.request_error import as_registry_error
from nix2oci.host.http.retry import CancelledError
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.registry.upload import Outcome, Uploader
from nix2oci.oci.spec import Descriptor, Digest

_GRACE = 2.0
"""Seconds that threads have to end by themselves when the work is called off."""

_Until = Literal["told", "done", "now"]
"""When threads end: when they are told to, when nothing waits any more, after what they have."""


class _Blobs:
    """Files of blobs, which lie where the image is put together and then where it is whole."""

    def __init__(self, final_path: Callable[[Digest], str]) -> None:
        self._final_path = final_path
        self.paths: dict[Digest, str] = {}

    def size(self, digest: Digest) -> int | None:  # noqa: ARG002
        """Nobody asks: blobs are in the order that they were added in."""
        return None

    def open(self, digest: Digest) -> Readable:
        try:
            try:
                return open(self.paths[digest], "rb", buffering=0)
            except FileNotFoundError:  # it has moved meanwhile
                return open(self._final_path(digest), "rb", buffering=0)
        except OSError as err:
            raise OutputError(f"cannot read blob {digest}: {err.strerror}") from err


class EarlyUploads:
    """Uploads to one repository, by threads that begin and end as they are told."""

    def __init__(
        self,
        clients: Clients,
        place: Repository,
        mount_from: Sequence[str],
        final_path: Callable[[Digest], str],
        leave_out: Callable[[Digest], bool] = lambda _: False,
    ) -> None:
        """`mount_from` are repositories of the same registry that may have some of the blobs.

        `final_path` is where a blob is that does not lie any more where it was when it was added.
        What is to be left out is not asked for: the push will see to it.
        """
        self._client = clients.of(place, push=True, others=mount_from)
        self._blobs = _Blobs(final_path)
        holder = partial(clients.holder, place)
        self._uploader = Uploader(self._client, self._blobs, mount_from, self._count, holder)
        self._leave_out = leave_out
        self._lock = Condition()
        self._todo = deque[Descriptor]()
        self._until: _Until = "told"
        self._threads: list[Thread] = []
        self._outcomes: dict[Digest, Outcome] = {}
        self._errors: list[BaseException] = []
        self._moved = 0
        self._listens = False
        self.began: float | None = None
        """When the first blob was begun, by the clock of the client."""

    def add(self, blob: Descriptor, path: str) -> None:
        """Have a blob sent whose file is whole; of several that are equal, one is."""
        if blob.digest in self._blobs.paths or self._leave_out(blob.digest):
            return
        self._blobs.paths[blob.digest] = path
        with self._lock:
            self._todo.append(blob)
            self._lock.notify()

    def go_on(self) -> None:
        """Send what was added, and what will be, in threads of this process.

        Raises what went wrong until now: `RegistryError`, `AuthenticationError`, `OutputError`.
        """
        self._raise()
        if self._threads:
            return
        self._until = "told"
        number = self._client.access.jobs
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def rest(self) -> None:
        """Wait until no thread is left; what was not begun by then waits for `go_on`.

        Raises as that.
        """
        self._end("now")
        self._raise()

    def finish(self) -> Mapping[Digest, Outcome]:
        """Wait for all that was added; what became of each blob, once.

        Who listens to the client hears of what has moved so far, and of what still does. Raises
        as `go_on`. Until then a failure would end other requests of the client, too.
        """
        with self._lock:
            self._listens, moved = True, self._moved
            self._moved = 0
            self._client.access.listener.moved(moved)
        if self._todo:
            self.go_on()
        self._end("done")
        self._raise()
        outcomes, self._outcomes = self._outcomes, {}
        return outcomes

    def close(self) -> None:
        """Call off what is not done; at once, and without waiting long for a thread."""
        if not self._threads:
            return
        self._client.stop.set()
        with self._lock:
            self._until = "now"
            self._lock.notify_all()
        for thread in self._threads:
            thread.join(_GRACE / len(self._threads))
        self._uploader.call_off()
        if not any(thread.is_alive() for thread in self._threads):
            self._client.stop.clear()  # another image of the run may go there

    def _end(self, until: _Until) -> None:
        with self._lock:
            self._until = until
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _raise(self) -> None:
        causes = [err for err in self._errors if not isinstance(err, CancelledError)]
        with as_registry_error(f"push to {self._client.place}"):
            for err in (*causes, *self._errors):
                raise err

    def _work(self) -> None:
        """One thread: blob after blob, as long as nothing failed."""
        while (blob := self._next()) is not None:
            try:
                outcome = self._uploader.upload(blob)
            except BaseException as err:  # noqa: BLE001  # it is raised where the image is made
                self._client.stop.set()
                self._errors.append(err)
            else:
                self._outcomes[blob.digest] = outcome

    def _next(self) -> Descriptor | None:
        """The next blob as soon as there is one; None when this is over."""
        with self._lock:
            while self._until != "now" and not self._errors:
                if self._todo:
                    self.began = self.began or self._client.access.clock.now()
                    return self._todo.popleft()
                if self._until == "done":
                    return None
                self._lock.wait()
        return None

    def _count(self, size: int) -> None:
        with self._lock:
            if self._listens:
                self._client.access.listener.moved(size)
            else:
                self._moved += size
