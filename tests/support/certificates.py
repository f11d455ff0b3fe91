"""An authority of our own, and what it signs: made by openssl, once a session."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.tools import require


@dataclass(frozen=True)
class Certificates:
    """A directory with `ca.crt`, and `server` and `client` as `NAME.cert` and `NAME.key`."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        require("openssl")
        made = cls(directory)
        made._call("req", "-x509", *_NEW, "-keyout", "ca.key", "-out", "ca.crt",
                   "-subj", "/CN=an authority of our own")  # fmt: skip
        for name in ("server", "client"):
            made._call("req", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr",
                       "-subj", f"/CN={name}")  # fmt: skip
            names = directory / f"{name}.ext"
            names.write_text("subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:registry.example\n")
            made._call("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                       "-CAcreateserial", "-days", "3650", "-extfile", str(names),
                       "-out", f"{name}.cert")  # fmt: skip
        return made

    def _call(self, *argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=self.directory, check=True, capture_output=True)

    @property
    def ca(self) -> str:
        return str(self.directory / "ca.crt")

    def server(self, *, asks_for_client: bool = False) -> ssl.SSLContext:
        """What a server shows; with `asks_for_client` it speaks only to those whom it knows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.cert", self.directory / "server.key")
        if asks_for_client:
            context.load_verify_locations(cafile=self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def copy(self, to: Path, *names: str) -> Path:
        """A directory of certificates with these files alone."""
        to.mkdir(parents=True)
        for name in names:
            (to / name).write_bytes((self.directory / name).read_bytes())
        return to


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650")
