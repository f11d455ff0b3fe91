"""What refers to a manifest: listed by the registry, or in an index that clients keep.

A registry that does not list referrers itself has them in an index under the tag
`sha256-<hex>` (distribution specification, Referrers Tag Schema). The hard part is to lose nothing
that another client writes there at the same time, since few registries take a condition: what was
written is looked at again, after as long as another one of us needs to write what it read before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urljoin

from nix2oci.errors import LayoutError
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.transport import Answer
from nix2oci.host.http.urls import same_origin
from nix2oci.oci.documents import read_index
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, Json, parse_object
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.registry.client import Client, Message
from nix2oci.oci.registry.image_documents import Document
from nix2oci.oci.registry.manifests import get_with_etag, named_digest, put_document
from nix2oci.oci.spec import INDEX, MOST_LISTED, Descriptor, Digest, canonical_json

_ROUNDS = 8
"""Times to write a list before a race on it is given up."""
_SETTLING = 0.3
"""Seconds until a list is looked at again: several times what it takes to read one and write it."""
_NONE = frozenset({400, 403, 404, 405, 501})
"""Statuses of a registry that lists no referrers."""
_MOST_PAGES = 100

Put = Callable[[Document], str | None]
"""Puts a manifest under its digest; the subject that the registry took note of."""


def tag_of(subject: Digest) -> str:
    """The tag under which clients keep the list of a manifest."""
    return str(subject).replace(":", "-")


def get_referrers(client: Client, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests about one, as the registry lists them or as the tag for that does.

    Raises `RequestError` where neither is there to be read: a registry whose list is broken has
    what clients listed, if they did.
    """
    broken = None
    try:
        listed = _by_registry(client, subject, partial(_asked, client))
    except RequestError as err:
        broken, listed = err, None
    if listed is None:
        listed = _under_tag(client, subject)
    if listed is None and broken is not None:
        raise broken
    found = map(Descriptor.read, map(Fields.of, listed or ()))
    return tuple(each for each in found if each)


def _under_tag(client: Client, subject: Digest) -> list[Json] | None:
    """What clients listed; None where they did not."""
    try:
        _, data, _ = get_with_etag(client, tag_of(subject))
    except RequestError as err:
        if err.status == 404:
            return None
        raise
    return _entries(data)


def put_about(client: Client, subject: Digest, about: Sequence[Document], put: Put) -> None:
    """Put manifests about one that is there, and see to it that all of them are listed.

    What is there and listed already is left as it is. A registry is left to list them where it
    does that, and says so of each: any other answer means that clients have to. Raises
    `RequestError`.
    """
    add_to_list(client, subject, _unlisted(client, subject, about, put))


def _unlisted(client: Client, subject: Digest, about: Sequence[Document], put: Put) -> list[Json]:
    """Put manifests about one; what its list has to have, since the registry lists none."""
    try:
        listed = _by_registry(client, subject, partial(_asked, client))
    except RequestError:
        listed = None
    unlisted = []
    for document in about:
        digest = str(document.descriptor.digest)
        if listed and any(each.get("digest") == digest for each in listed):
            continue
        if listed is None and named_digest(client, digest) == document.descriptor.digest:
            unlisted.append(document.referrer())
            continue
        noted = put(document)
        if listed is None or noted != str(subject):
            unlisted.append(document.referrer())
    return unlisted


def add_to_list(client: Client, subject: Digest, entries: Sequence[Json]) -> None:
    """See to it that the list under the tag has these behind those of others, and loses none.

    Raises `RequestError`, also when there is something else under the tag.
    """
    tag, wanted = tag_of(subject), {str(entry["digest"]): entry for entry in entries}

    def with_all(data: bytes | None, kind: str) -> tuple[Descriptor, bytes] | None:
        listed = [] if data is None else _entries(data) if kind in INDEX_TYPES else None
        if listed is None:
            raise RequestError(f"tag {tag} is no list of referrers: it is left as it is")
        known = {str(entry.get("digest")) for entry in listed}
        missing = [entry for digest, entry in wanted.items() if digest not in known]
        if not missing:
            return None
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, *missing]}
        new = canonical_json(index)
        return Descriptor.of(INDEX, new), new

    if entries:
        amend(client, tag, with_all, f"the list of referrers, tag {tag}")


Change = Callable[[bytes | None, str], tuple[Descriptor, bytes] | None]
"""What a tag is to have, told what it has and its media type; None where that is right."""


def amend(client: Client, tag: str, change: Change, what: str) -> None:
    """Change what a tag has until it is right, though others change it as well; `RequestError`."""
    for _ in range(_ROUNDS):
        try:
            found, data, etag = get_with_etag(client, tag)
            new = change(data, found.media_type)
        except RequestError as err:
            if err.status != 404:
                raise
            etag, new = None, change(None, "")
        if new is None:
            return
        try:
            put_document(client, *new, tag, instead_of=etag)
        except RequestError as err:
            if err.status != 412:
                raise
        clock = client.access.clock
        clock.wait(client.stop, _SETTLING * (1 + clock.jitter()))
    raise RequestError(f"{what}, is written by others all the time")


def _by_registry(
    client: Client, subject: Digest, ask: Callable[[Message], Answer]
) -> list[Json] | None:
    """What a registry lists, on all pages; None from one that does not. Raises `RequestError`."""
    url: str | None = client.url("referrers", str(subject))
    found: list[Json] = []
    for _ in range(_MOST_PAGES):
        if url is None:
            return found
        with ask(Message("GET", url, {200, *_NONE}, {"Accept": INDEX})) as answer:
            data = answer.read(MAX_DOCUMENT) if answer.status == 200 else b""
            url = _next_page(answer, client)
        listed = _entries(data)
        if listed is None:
            return None
        found += listed
    raise RequestError(f"it lists what refers to {subject} on more than {_MOST_PAGES} pages")


def _asked(client: Client, message: Message) -> Answer:
    """The answer to a question, asked again while what goes wrong may pass; 500 does not."""

    def ask() -> Answer:
        try:
            return client.send(message)
        except RequestError as err:
            err.temporary = err.temporary and err.status != 500
            raise

    return client.persist(ask)


def _next_page(answer: Answer, client: Client) -> str | None:
    """The address of what is left, of the same registry (RFC 8288)."""
    match = re.search(r'<([^>]*)>\s*;\s*rel="?next"?', answer.header("Link") or "")
    url = urljoin(answer.url, match[1]) if match else ""
    return url if same_origin(url, client.url()) else None


def _entries(data: bytes) -> list[Json] | None:
    """What an index lists, as it stands there; None for bytes that are none."""
    try:
        document = parse_object(data, "a list of referrers")
        index = read_index(document)
        index.fields.check("cannot read a list of referrers")
    except LayoutError:
        return None
    if not isinstance(document.get("manifests"), list) or len(index.manifests) > MOST_LISTED:
        return None
    return [entry.values for entry in index.fields["manifests"].objects()]
