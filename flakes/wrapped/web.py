"""A WSGI application, without a framework."""

import os
from collections.abc import Callable, Iterable

Start = Callable[[str, list[tuple[str, str]]], object]


def app(environ: dict[str, str], start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.environ['GREETING']} from {environ['PATH_INFO']}\n".encode()]
