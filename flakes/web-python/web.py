"""A page that counts its visitors, and /healthz.

PORT (8080) and HOST (0.0.0.0, or unix:///a/path for a socket) say where.
"""

import os
import signal
import sys
from itertools import count

from flask import Flask
from werkzeug.serving import make_server

app = Flask(__name__)
visits = count(1)


@app.get("/")
def page() -> str:
    return f"<h1>hello from flask</h1>\n<p>visit {next(visits)}, uid {os.getuid()}</p>\n"


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


def main() -> None:
    # The first process of a container gets no default action for this signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    server = make_server(host, port, app, threaded=True)
    print(f"listening on {host}" + ("" if host.startswith("unix:") else f":{port}"), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
