"""A gateway on a real ledger and spool, called in the same process or on a real socket; log events are captured."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from fastapi import FastAPI
from structlog.testing import capture_logs

from axis import clock, gateway, seal
from axis.gateway.protocol import BoundedHttp
from axis.gateway.tls import _NO_CHECK_TIME, Tls
from axis.intake import Allowance
from axis.webhooks import Allowed
from tests.house import House, house
from tests.province import AT

MOST_BYTES = 1_000_000


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def home(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(clock, "now", lambda: AT)
    async with house(ledger_url, tmp_path) as opened:
        monkeypatch.setattr(clock, "now", opened.now)  # The test moves it.
        yield opened


@pytest.fixture
def app(home: House) -> FastAPI:
    trust = home.province.trust()

    async def ready() -> dict[str, str]:
        return {"ledger": "ok"}

    return gateway.build(
        intake=home.intake,
        answers=home.answers,
        ledger=home.ledger,
        spool=home.spool,
        roll=lambda: (home.roll, trust),
        metrics_text=lambda: b"axis 1\n",
        ready=ready,
        attachment_bytes=MOST_BYTES,
        per_office=4,
        hooks=gateway.Terms(allowed=Allowed.of([], plain_loopback=True), most=3, overlap=timedelta(days=1)),
        allowance=Allowance(burst=1000, per_second=1000),
    )


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """Where the gateway listens."""
    async with _serving(app) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _serving(app: FastAPI, **more: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off", **more)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - It rings no bell.
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True, kw_only=True)
class Secured:
    """A gateway that serves HTTPS and asks for client certificates; its files lie in `folder`."""

    url: str
    folder: Path
    home: House
    tls: Tls

    def trusting(self, shown: seal.SigningKey | None = None) -> ssl.SSLContext:
        """Return the TLS of a client that believes the province's authority, and shows a certificate or none."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.verify_flags |= _NO_CHECK_TIME  # The test has a clock of its own.
        if shown is not None:
            context.load_cert_chain(*write_pair(self.folder, "client", shown.certificate, shown.key))
        return context

    def renew(self) -> x509.Certificate:
        """Put a new certificate of the gateway, with a new key, in the place of that which is there."""
        made = _of_gateway(self.home, self.folder)
        assert self.tls.refresh()
        return made


def write_pair(folder: Path, name: str, certificate: x509.Certificate, key: Any) -> tuple[Path, Path]:
    """Write a certificate and its key."""
    paths = folder / f"{name}.pem", folder / f"{name}.key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def _of_gateway(home: House, folder: Path) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    serves = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    made = home.province.certificate("axis.example.vn", key, purpose=(serves, False), other=(names, False))
    write_pair(folder, "gateway", made, key)
    return made


@pytest.fixture
async def secured(app: FastAPI, home: House, tmp_path: Path) -> AsyncIterator[Secured]:
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(home.province.ca.public_bytes(Encoding.PEM))
    _of_gateway(home, folder)
    tls = Tls(folder / "gateway.pem", folder / "gateway.key.pem", folder / "ca.pem")
    async with _serving(app, http=BoundedHttp, ssl_context_factory=lambda *_: tls.listening) as port:
        yield Secured(url=f"https://127.0.0.1:{port}", folder=folder, home=home, tls=tls)
