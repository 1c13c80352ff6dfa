"""Who calls, by the certificate of a real TLS connection to a real gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from axis import seal
from axis.errors import PermanentError, TransientError
from axis.gateway import bodies
from axis.gateway.tls import _NO_CHECK_TIME, Tls, believing
from axis.office.gateway import GatewayClient, client_tls
from axis.registry import Registry, Status
from tests.house import COMMUNE, SENDER, House
from tests.integration.gateway.conftest import Secured, write_pair
from tests.province import DAY, Province

PDF = b"%PDF-1.7" + bytes(1000)


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """One kind: who calls does not depend on it."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@asynccontextmanager
async def _client(
    secured: Secured, shown: seal.SigningKey | None, token_of: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    home = secured.home
    headers = {}
    if token_of is not None:
        headers["Authorization"] = f"Bearer {seal.make_token(token_of, home.province.signer(token_of), home.now())}"
    async with httpx.AsyncClient(base_url=secured.url, verify=secured.trusting(shown), headers=headers) as client:
        yield client


def _no(answer: httpx.Response, status: int, code: str) -> str:
    problem = bodies.Problem.model_validate(answer.json())
    assert (answer.status_code, problem.code) == (status, code), answer.text
    return problem.title


async def test_registered_certificate_is_the_office(secured: Secured) -> None:
    """What it brings is its own, and another office by its own certificate does not see it."""
    digest = sha256(PDF).hexdigest()
    province = secured.home.province
    async with _client(secured, province.signer(SENDER)) as sender, _client(secured, province.signer(COMMUNE)) as other:
        assert (await sender.put(f"/v1/uploads/{digest}", content=PDF)).status_code == 201
        assert (await sender.get(f"/v1/attachments/{digest}")).content == PDF
        _no(await other.get(f"/v1/attachments/{digest}"), 404, "API.NOT_FOUND")
        accepted = await sender.post("/v1/envelopes", content=secured.home.seal(secured.home.document()))
        assert accepted.status_code == 201
        assert (
            await other.post("/v1/envelopes", content=secured.home.seal(secured.home.document()))
        ).status_code >= 400


async def test_neither_is_told_to_show_one_and_a_token_alone_is_enough(secured: Secured) -> None:
    async with _client(secured, None) as nobody, _client(secured, None, token_of=SENDER) as sender:
        answer = await nobody.get("/v1/offices")
        _no(answer, 401, "API.AUTH")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await sender.get("/v1/offices")).status_code == 200


async def test_token_and_certificate_must_be_of_the_same_office(secured: Secured) -> None:
    shown = secured.home.province.signer(SENDER)
    async with _client(secured, shown, token_of=SENDER) as same, _client(secured, shown, token_of=COMMUNE) as two:
        assert (await same.get("/v1/offices")).status_code == 200
        assert "certificate" in _no(await two.get("/v1/offices"), 401, "API.AUTH")
        two.headers["Authorization"] = "Bearer x.y.z"
        _no(await two.get("/v1/offices"), 401, "API.AUTH")
        two.headers["Authorization"] = "Basic eDp5"
        _no(await two.get("/v1/offices"), 401, "API.AUTH")


def _another_key(province: Province) -> seal.SigningKey:
    """The name of an office that the authority has signed for a key which nobody has registered."""
    key = ec.generate_private_key(ec.SECP256R1())
    return seal.SigningKey.of(key, province.certificate(SENDER, key))


def _another_name(province: Province) -> seal.SigningKey:
    """The registered key of one office in a certificate that names another."""
    key = province.keys[COMMUNE]
    return seal.SigningKey.of(key, province.certificate(SENDER, key))


def _no_office(province: Province) -> seal.SigningKey:
    key = ec.generate_private_key(ec.SECP256R1())
    return seal.SigningKey.of(key, province.certificate("H56.888", key))


@pytest.mark.parametrize("shown", [_another_key, _another_name, _no_office])
@pytest.mark.parametrize("token_of", [None, SENDER])
async def test_certificate_of_the_authority_that_is_not_registered_proves_nothing(
    secured: Secured, shown: Any, token_of: str | None
) -> None:
    async with _client(secured, shown(secured.home.province), token_of) as client:
        assert "not registered" in _no(await client.get("/v1/offices"), 401, "API.AUTH")


async def test_certificate_of_another_authority_does_not_come_as_far_as_a_request(secured: Secured) -> None:
    elsewhere = Province()
    stranger = elsewhere.register(SENDER, secured.home.province.keys[SENDER])  # The right key does not help.
    async with _client(secured, stranger, token_of=SENDER) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/v1/offices")


async def test_certificate_that_has_ended_is_told_so_on_the_same_connection(secured: Secured) -> None:
    async with _client(secured, secured.home.province.signer(SENDER)) as client:
        assert (await client.get("/v1/offices")).status_code == 200
        secured.home.pass_time(101 * DAY)
        assert "expired" in _no(await client.get("/v1/offices"), 401, "API.AUTH")


async def test_suspended_office_reads_and_brings_nothing(secured: Secured) -> None:
    home = secured.home
    offices = [replace(one, status=Status.SUSPENDED) if one.code == SENDER else one for one in home.roll.offices()]
    home.roll = Registry.of(offices, home.roll.tiers.values())
    async with _client(secured, home.province.signer(SENDER)) as client:
        assert (await client.get("/v1/offices")).status_code == 200
        _no(await client.post("/v1/envelopes", content=b"<edXML/>"), 403, "MSG.NOT_ALLOWED")
        _no(await client.put(f"/v1/uploads/{sha256(PDF).hexdigest()}", content=PDF), 403, "MSG.NOT_ALLOWED")


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
async def test_page_in_a_browser_cannot_use_the_certificate_of_who_looks_at_it(secured: Secured, header: str) -> None:
    shown = secured.home.province.signer(SENDER)
    async with _client(secured, shown) as client, _client(secured, shown, token_of=SENDER) as both:
        said = {header: "https://elsewhere.example"}
        assert "browser" in _no(await client.post("/v1/webhooks/qlvb/secret", headers=said), 401, "API.AUTH")
        assert (await both.get("/v1/offices", headers=said)).status_code == 200


async def test_nobody_is_believed_about_a_certificate_but_the_handshake(secured: Secured) -> None:
    """Headers in which proxies tell what they have seen."""
    pem = secured.home.province.signer(SENDER).certificate.public_bytes(Encoding.PEM)
    async with _client(secured, None) as client:
        for name in (
            "X-SSL-Client-Cert",
            "X-Forwarded-Client-Cert",
            "X-Client-DN",
            "Client-Cert",
            "X-SSL-Client-Verify",
        ):
            said = {name: pem.replace(b"\n", b"").decode()}
            _no(await client.get("/v1/offices", headers=said), 401, "API.AUTH")


# --- the gateway's own certificate ----------------------------------------------------------


async def test_renewed_certificate_is_shown_from_then_on(secured: Secured) -> None:
    async with _client(secured, secured.home.province.signer(SENDER)) as before:
        assert (await before.get("/v1/offices")).status_code == 200
        assert not secured.tls.refresh()
        renewed = secured.renew()
        assert await _shown(secured) == renewed.public_bytes(Encoding.DER)
        assert (await before.get("/v1/offices")).status_code == 200  # The line that was open goes on.
    async with _client(secured, secured.home.province.signer(SENDER)) as after:
        assert (await after.get("/v1/offices")).status_code == 200


async def test_authority_that_is_taken_away_is_believed_no_more(secured: Secured) -> None:
    trusting = secured.trusting(secured.home.province.signer(SENDER))
    (secured.folder / "ca.pem").write_bytes(Province().ca.public_bytes(Encoding.PEM))
    assert secured.tls.refresh()
    async with httpx.AsyncClient(base_url=secured.url, verify=trusting) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/v1/offices")


async def test_what_cannot_be_used_changes_nothing(secured: Secured) -> None:
    shown = await _shown(secured)
    for name, content in (("gateway.key.pem", b""), ("gateway.pem", b"-----"), ("ca.pem", b"")):
        path = secured.folder / name
        good = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(PermanentError, match=r"CFG\.INVALID"):
            secured.tls.refresh()
        path.write_bytes(good)
    assert secured.tls.refresh()
    assert await _shown(secured) == shown


async def _shown(secured: Secured) -> bytes:
    """Return the certificate that a new connection is shown."""
    trusting = secured.trusting()
    _, writer = await asyncio.open_connection("127.0.0.1", int(secured.url.rpartition(":")[2]), ssl=trusting)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


def test_key_that_needs_a_passphrase_is_refused_and_nobody_is_asked_for_it(secured: Secured) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"mat khau"))
    (secured.folder / "gateway.key.pem").write_bytes(pem)
    with pytest.raises(PermanentError, match=r"CFG\.INVALID"):
        Tls(secured.folder / "gateway.pem", secured.folder / "gateway.key.pem", None)


async def test_command_on_the_same_machine_believes_the_certificate_that_lies_there(secured: Secured) -> None:
    lies_there = believing(secured.folder / "gateway.pem")
    async with httpx.AsyncClient(base_url=secured.url, verify=lies_there) as client:
        assert (await client.get("/readyz")).status_code == 200
    secured.renew()
    async with httpx.AsyncClient(base_url=secured.url, verify=lies_there) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/readyz")


# --- the office's side ----------------------------------------------------------------------


@pytest.mark.parametrize("shows", [False, True])
async def test_office_believes_the_authority_that_it_is_given(secured: Secured, shows: bool) -> None:
    home = secured.home
    key = home.province.signer(SENDER)
    _, key_path = write_pair(secured.folder, SENDER, key.certificate, key.key)
    tls = client_tls(secured.folder / "ca.pem", key_path=key_path if shows else None, key=key)
    tls.verify_flags |= _NO_CHECK_TIME
    digest = sha256(PDF).hexdigest()
    async with GatewayClient.connect(secured.url, office=SENDER, key=key, now=home.now, tls=tls) as client:
        await client.upload(PDF, digest, len(PDF))
        assert b"".join([chunk async for chunk in client.stream(digest, len(PDF))]) == PDF


async def test_certificate_that_an_office_shows_is_looked_at(secured: Secured) -> None:
    home = secured.home
    key, other = home.province.signer(SENDER), home.province.signer(COMMUNE)
    _, key_path = write_pair(secured.folder, COMMUNE, other.certificate, other.key)
    tls = client_tls(secured.folder / "ca.pem", key_path=key_path, key=other)
    tls.verify_flags |= _NO_CHECK_TIME
    async with GatewayClient.connect(secured.url, office=SENDER, key=key, now=home.now, tls=tls) as client:
        with pytest.raises(TransientError, match=r"API\.AUTH"):
            await client.receipts_of("0" * 32)


async def test_office_does_not_speak_to_a_gateway_that_nobody_vouches_for(secured: Secured) -> None:
    home = secured.home
    key = home.province.signer(SENDER)
    async with GatewayClient.connect(secured.url, office=SENDER, key=key, now=home.now) as client:
        with pytest.raises(TransientError):
            await client.receipts_of("0" * 32)


def test_office_is_told_of_a_file_of_authorities_that_cannot_be_used(home: House, tmp_path: Path) -> None:
    for content in (None, b"nothing"):
        file = tmp_path / "authorities.pem"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(PermanentError, match=r"authorities\.pem"):
            client_tls(file, key=home.province.signer(SENDER))
