"""A guest book: a page of static files, and the names of who was here, sorted as the locale says.

POST / adds a name. /etc/guestbook.conf says where things are; `guestbook --check` asks the server
whether it works.
"""

import locale
import signal
import sys
import urllib.request
from configparser import ConfigParser
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

CONF = ConfigParser()
CONF.read_string(Path("/etc/guestbook.conf").read_text())
SERVER = CONF["server"]
BOOK = Path(SERVER["data"]) / "names"


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, directory=SERVER["static"])

    def do_GET(self) -> None:
        if self.path != "/names":
            super().do_GET()
            return
        names = BOOK.read_text().splitlines() if BOOK.exists() else []
        page = "".join(f"{name}\n" for name in sorted(names, key=locale.strxfrm))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(page.encode())

    def do_POST(self) -> None:
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with BOOK.open("a") as book:
            print(name.strip(), file=book)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    locale.setlocale(locale.LC_ALL, "")
    if "--check" in sys.argv:
        urllib.request.urlopen(f"http://127.0.0.1:{SERVER['port']}/names", timeout=2)
        return
    # The first process of a container gets no default action for this signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("encoding:", locale.getpreferredencoding())
    HTTPServer(("", int(SERVER["port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
