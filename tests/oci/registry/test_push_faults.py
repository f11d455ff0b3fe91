"""Pushing to a registry that fails: every fault ends in an image or in an error that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate

import pytest
from support.fakeregistry import (
    Action,
    Exchange,
    answer,
    cut,
    cut_after,
    error,
    proceed,
    with_headers,
)
from support.fakeserver import running, stop_listening
from support.pushing import REPOSITORY, Desk

from nix2oci.errors import RegistryError
from nix2oci.oci.registry.client_options import Timeouts

UPLOADS = r"/blobs/uploads/"
SESSION = r"/blobs/uploads/."
BLOB = r"/blobs/sha256:"
MANIFEST = r"/manifests/"
HTML = b"<html>\n<head><title>503 Backend</title></head><body>\x1b[31mgone</body></html>"
ZEROS = "sha256:" + 64 * "0"
START = 1_000_000_000.0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("HEAD", BLOB, id="asking for a blob"),
        pytest.param("POST", UPLOADS, id="opening a session"),
        pytest.param("PUT", SESSION, id="sending a blob"),
        pytest.param("PUT", MANIFEST + "sha256", id="a manifest"),
        pytest.param("PUT", MANIFEST + "1.0", id="the tag"),
    ],
)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answer(429, b"", retry_after="1"), id="too many requests"),
        pytest.param(answer(500, b"oops"), id="500"),
        pytest.param(answer(502, HTML), id="502"),
        pytest.param(answer(503, HTML), id="503"),
        pytest.param(answer(504), id="504"),
        pytest.param(answer(408), id="408"),
        pytest.param(cut, id="closed before the answer"),
        pytest.param(cut_after, id="closed after the work was done"),
    ],
)
def test_a_fault_that_passes_is_survived(desk: Desk, method: str, path: str, fault: Action) -> None:
    desk.registry.script(method, path, fault)
    desk.push()
    assert desk.is_complete()
    assert desk.registry.tags() == {"1.0"}


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        pytest.param({"retry_after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry_after": formatdate(START + 9, usegmt=True)}, 9.0, id="a date"),
        pytest.param(
            {"retry_after": formatdate(START - 9, usegmt=True)}, 2.0, id="a date that is past"
        ),
        pytest.param({"retry_after": "-5"}, 2.0, id="less than nothing"),
        pytest.param({"retry_after": "soon"}, 2.0, id="words"),
        pytest.param({"retry_after": ""}, 2.0, id="nothing"),
        pytest.param({}, 2.0, id="no header"),
        pytest.param({"retry_after": "86400"}, 60.0, id="a day"),
    ],
)
def test_a_registry_says_when_to_come_back(
    desk: Desk, headers: dict[str, str], waits: float
) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", answer(429, b"", **headers))
    desk.push()
    assert desk.time.waited == [waits]
    url = f"http://{desk.registry.registry}/v2/{REPOSITORY}/manifests/1.0"
    assert desk.notes == [f"PUT {url} answered 429; next try in {waits:.0f} s"]


@pytest.mark.parametrize(
    ("method", "path", "fault", "cause"),
    [
        pytest.param(
            "POST", UPLOADS, answer(503, HTML),
            "POST {url}/blobs/uploads/ answered 503: 503 Backend \\x1b[31mgone (6 tries)",
            id="a page in HTML",
        ),
        pytest.param(
            "POST", UPLOADS, cut,
            "POST {url}/blobs/uploads/: the connection was closed (12 tries)",
            id="a connection that is always closed",
        ),
        pytest.param(
            "PUT", MANIFEST + "1.0", answer(429, b"slow \x1b[31mdown\x07"),
            r"PUT {url}/manifests/1.0 answered 429: slow \x1b[31mdown\x07 (6 tries)",
            id="escapes for the terminal",
        ),
        pytest.param(
            "PUT", MANIFEST + "1.0", answer(500, b"x" * (10 << 20)),
            "PUT {url}/manifests/1.0 answered 500: " + 300 * "x" + " (6 tries)",
            id="ten megabytes",
        ),
        pytest.param(
            "PUT", MANIFEST + "1.0", error(404, "NAME_UNKNOWN"),
            "PUT {url}/manifests/1.0 answered 404: NAME_UNKNOWN: name_unknown",
            id="an error of the specification",
        ),
        pytest.param(
            "PUT", MANIFEST + "sha256", answer(201, b"", docker_content_digest=ZEROS),
            f"it stored {ZEROS} when it was sent {{manifest}}",
            id="another digest of a manifest",
        ),
        pytest.param(
            "PUT", SESSION, answer(201, b"", docker_content_digest=ZEROS),
            f"it stored {ZEROS} when it was sent {{blob}}",
            id="another digest of a blob",
        ),
        pytest.param(
            "PUT", SESSION, error(400, "DIGEST_INVALID"),
            "PUT {url}/blobs/uploads/session-2?_state=REDACTED&x=REDACTED&digest={blob} "
            "answered 400: DIGEST_INVALID: digest_invalid",
            id="a digest that it thinks is wrong",
        ),
        pytest.param(
            "PUT|PATCH", SESSION, answer(413),
            "PATCH {url}/blobs/uploads/session-2?_state=REDACTED&x=REDACTED "
            "answered 413, for a blob of {size} bytes",
            id="a blob that is too large",
        ),
        pytest.param(
            "PUT|PATCH", SESSION, answer(416, b"exceeds the maximum permissible limit of 4.00MiB"),
            "PATCH {url}/blobs/uploads/session-2?_state=REDACTED&x=REDACTED answered 416: "
            "exceeds the maximum permissible limit of 4.00MiB, for a blob of {size} bytes",
            id="a piece that is too large",
        ),
        pytest.param(
            "PUT", MANIFEST + "sha256", error(400, "MANIFEST_BLOB_UNKNOWN"),
            "PUT {url}/manifests/{manifest} answered 400: "
            "MANIFEST_BLOB_UNKNOWN: manifest_blob_unknown",
            id="a blob that it never finds",
        ),
    ],
)  # fmt: skip
def test_a_fault_that_stays_is_an_error(
    desk: Desk, method: str, path: str, fault: Action, cause: str
) -> None:
    desk.registry.script(method, path, fault, always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    registry, push_set = desk.registry.registry, desk.cargo
    expected = cause.replace("{url}", f"http://{registry}/v2/{REPOSITORY}")
    expected = expected.replace("{manifest}", str(push_set.documents[0].descriptor.digest))
    expected = expected.replace("{blob}", desk.blobs[0]).replace(
        "{size}", str(push_set.blobs[0].size)
    )
    assert str(caught.value) == f"cannot push to {registry}/{REPOSITORY}: {expected}"
    assert caught.value.exit_code == 6
    assert "1.0" not in desk.registry.tags()


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(answer(413), id="413"),
        pytest.param(answer(400, b"http: request body too large"), id="its words"),
    ],
)
def test_a_manifest_that_is_too_large_is_explained(desk: Desk, refusal: Action) -> None:
    desk.registry.script("PUT", MANIFEST, refusal)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert caught.value.hint == (
        "the manifest is too large for it: take fewer layers, or shorter annotations"
    )


@pytest.mark.parametrize("code", ["UNAVAILABLE", "TOOMANYREQUESTS", "UNKNOWN"])
def test_an_error_whose_code_is_temporary_is_survived(desk: Desk, code: str) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", error(400, code))
    desk.push()
    assert desk.is_complete()


def test_a_repository_that_is_not_there_is_explained(desk: Desk) -> None:
    desk.registry.script("POST", UPLOADS, error(404, "NAME_UNKNOWN"))
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert caught.value.hint == (
        "some registries want a repository to be made before something is pushed to it"
    )


def test_waiting_grows_up_to_a_limit(desk: Desk) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", answer(503), always=True)
    with pytest.raises(RegistryError):
        desk.push()
    assert desk.time.waited == [2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_kept_connection_that_was_closed_costs_no_waiting(desk: Desk) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", cut)
    desk.push()
    assert desk.time.waited == []
    assert desk.notes == []


def test_a_manifest_that_was_stored_before_the_connection_broke_is_no_trouble(desk: Desk) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", cut_after)
    desk.push()
    assert len(desk.registry.calls("PUT", MANIFEST + "1.0")) == 2
    assert desk.is_complete()


def test_a_registry_that_goes_down_and_comes_back_is_waited_for(desk: Desk) -> None:
    """Time passes only when the client waits: the registry is back after five seconds of it."""
    registry = desk.registry

    class Away:
        """The server is not there until the clock says so."""

        def __init__(self, wait: Callable[..., bool]) -> None:
            self.wait, self.up = wait, contexts()

        def __call__(self, event: object, seconds: float) -> bool:
            result = self.wait(event, seconds)
            if desk.time.time >= START + 5:
                next(self.up, None)
            return result

    def contexts() -> Iterator[None]:
        stack.enter_context(running(registry))
        yield

    def go_down(exchange: Exchange) -> None:
        """Nobody listens before the client learns of it: it comes back within microseconds."""
        assert registry.server is not None
        stop_listening(registry.server)
        exchange.cut()

    with ExitStack() as stack:
        desk.time.wait = Away(desk.time.wait)  # type: ignore[method-assign]
        registry.script("PUT", SESSION, proceed, proceed, go_down)
        pushed = desk.push()
        assert list(pushed.outcomes.values()) == ["sent", "sent", "sent"]
        assert len(registry.calls("PUT", SESSION)) == 4
        assert desk.is_complete()
        assert desk.notes[-1].endswith("cannot be reached: Connection refused; next try in 8 s")


def test_a_registry_that_was_never_reached_is_soon_given_up(desk: Desk) -> None:
    reference = desk.reference()
    assert desk.registry.server is not None
    stop_listening(desk.registry.server)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert str(caught.value) == (
        f"cannot push to {reference.registry}/{REPOSITORY}: "
        f"{reference.registry} cannot be reached: Connection refused (2 tries)"
    )
    assert desk.time.waited == []


def test_a_registry_that_says_nothing_is_given_up(desk: Desk) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", silence, always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push(timeouts=Timeouts(connect=5, read=0.5))
    assert str(caught.value) == (
        f"cannot push to {desk.registry.registry}/{REPOSITORY}: "
        f"PUT http://{desk.registry.registry}/v2/{REPOSITORY}/manifests/1.0 "
        "was not answered in time (6 tries)"
    )


def silence(exchange: Exchange) -> None:
    """Wait until the client gave up."""
    exchange.handler.connection.recv(1)
    exchange.cut()


def test_a_registry_that_answers_a_byte_at_a_time_is_given_up(desk: Desk) -> None:
    """Every byte comes in time, and costs a second."""

    def drip(exchange: Exchange) -> None:
        exchange.handler.send_response(500)
        exchange.handler.send_header("Content-Length", "100000")
        exchange.handler.end_headers()
        for _ in range(100):
            desk.time.time += 1
            exchange.handler.wfile.write(b"x")
        silence(exchange)

    desk.registry.script("PUT", MANIFEST + "1.0", drip, always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push(timeouts=Timeouts(connect=5, read=1))
    assert str(caught.value).endswith("/manifests/1.0 answered 500 (6 tries)")
    assert caught.value.exit_code == 6


def test_headers_of_an_answer_do_not_matter_in_case(desk: Desk) -> None:
    desk.registry.script("POST", UPLOADS, with_headers(x_other="1"))
    desk.push()
    assert desk.is_complete()
