"""A receiver of webhooks on a real socket, over TLS or not, that does what the test wants of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


@dataclass(frozen=True, kw_only=True)
class Got:
    """One message as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its id."""
        return self.headers["webhook-id"]

    @property
    def said(self) -> dict[str, Any]:
        """What it says."""
        said: dict[str, Any] = json.loads(self.body)
        return said


@dataclass
class Receiver:
    """What a test holds."""

    status: int = 204
    pause_s: float = 0.0
    is_endless: bool = False
    only_first: int = 1_000_000  # Of so many it says yes; to the others 503.
    got: list[Got] = field(default_factory=list)
    elsewhere: int = 0  # Requests to the place that it redirects to.
    port: int = 0

    async def take(self, request: Request) -> Response:
        """Answer one message."""
        self.got.append(Got(headers=dict(request.headers), body=await request.body()))
        await asyncio.sleep(self.pause_s)
        if self.is_endless:
            return StreamingResponse(_for_ever(), status_code=self.status)
        status = self.status if len(self.got) <= self.only_first else 503
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return Response(status_code=status, headers=headers)

    async def take_elsewhere(self, _request: Request) -> Response:
        """Note that somebody followed."""
        self.elsewhere += 1
        return Response(status_code=204)

    def ids(self) -> list[str]:
        """Return the ids of what came, in order."""
        return [one.id for one in self.got]


async def _for_ever() -> AsyncIterator[bytes]:
    while True:
        yield bytes(65536)
        await asyncio.sleep(0.001)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def receiving(receiver: Receiver, tls: Path | None = None) -> AsyncIterator[None]:
    """Let a receiver listen until the block ends, at the port that it had before."""
    app = Starlette(
        routes=[
            Route("/axis", receiver.take, methods=["POST"]),
            Route("/elsewhere", receiver.take_elsewhere, methods=["GET", "POST"]),
        ]
    )
    server = _Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=receiver.port,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=None if tls is None else str(tls / "cert.pem"),
            ssl_keyfile=None if tls is None else str(tls / "key.pem"),
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - It rings no bell.
        await asyncio.sleep(0.01)
    receiver.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.should_exit = True
        await task


def certify(folder: Path, name: str) -> Path:
    """Write an authority (ca.pem) and a certificate of it for a name (cert.pem, key.pem); return the folder."""
    folder.mkdir()
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA nội bộ (ví dụ)")])
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)

    def signed(subject: x509.Name, public: Any, *extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
        builder = x509.CertificateBuilder(subject_name=subject, issuer_name=ca_name, public_key=public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(ca_key, hashes.SHA256())

    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = signed(ca_name, ca_key.public_key(), (x509.BasicConstraints(ca=True, path_length=0), True), (usage, True))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Hệ thống nhận (ví dụ)")])
    leaf = signed(subject, key.public_key(), (x509.SubjectAlternativeName([alternative]), False))
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "cert.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder
