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
    def make(
        cls,
        directory: Path,
        authority: str = "basicConstraints = critical, CA:TRUE",
        *,
        signed_by: Certificates | None = None,
    ) -> Certificates:
        """`authority` has its extensions; unless another one signs it, it signs itself.

        The usual one has no key usage, as many private authorities have none.
        """
        require("openssl")
        made = cls(directory)
        made._request("ca", "an authority of our own")
        signer = signed_by._signer() if signed_by else ("-signkey", "ca.key")
        made._sign("ca", "ca.crt", authority, *signer)
        for name in ("server", "client"):
            made._request(name, name)
            made._sign(name, f"{name}.cert", _NAMES, *made._signer())
        return made

    def _request(self, name: str, subject: str) -> None:
        argv = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        self._call("req", *_NEW, *argv)

    def _sign(self, name: str, certificate: str, extensions: str, *signer: str) -> None:
        (self.directory / f"{name}.ext").write_text(extensions)
        argv = ("-in", f"{name}.csr", "-days", "3650", "-extfile", f"{name}.ext")
        self._call("x509", "-req", *argv, *signer, "-out", certificate)

    def _signer(self) -> tuple[str, ...]:
        return ("-CA", self.ca, "-CAkey", str(self.directory / "ca.key"), "-CAcreateserial")

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


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NAMES = "subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:registry.example"
