"""The office's side of the gateway, on a real socket: what it brings, fetches, and does when the line is cut."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from axis.errors import PermanentError, TransientError
from axis.office import gateway
from axis.office.gateway import GatewayClient
from tests.house import COMMUNE, SENDER, House
from tests.integration.gateway.conftest import MOST_BYTES

_CUT_AFTER = 300_000


@asynccontextmanager
async def _cut_once(url: str, *, way: str) -> AsyncIterator[str]:
    """Stand before a gateway, and end the first line on which enough bytes went one way."""
    host, port = url.removeprefix("http://").split(":")
    left = {way: _CUT_AFTER}

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, this_way: str) -> None:
        while piece := await source.read(16_384):
            if this_way in left:
                left[this_way] -= len(piece)
                if left[this_way] < 0:
                    del left[this_way]
                    break
            target.write(piece)
            await target.drain()
        target.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, back, "up"), carry(there, writer, "down"), return_exceptions=True)
        writer.transport.abort()
        back.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert not left, "the line was not cut"
    finally:
        server.close()


def _file(folder: Path, size_bytes: int) -> tuple[Path, str]:
    content = random.Random(size_bytes).randbytes(size_bytes)
    (folder / "file").write_bytes(content)
    return folder / "file", sha256(content).hexdigest()


async def _fetch(client: GatewayClient, digest: str, size_bytes: int) -> str:
    found = sha256()
    async for chunk in client.stream(digest, size_bytes):
        found.update(chunk)
    return found.hexdigest()


@pytest.mark.parametrize("at_one_go", [100_000, 1024 * 1024])
@pytest.mark.parametrize("size_bytes", [0, 1, 100_000, 262_145, 900_000])
async def test_file_goes_up_and_comes_down(
    url: str, home: House, tmp_path: Path, size_bytes: int, at_one_go: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_AT_ONE_GO", at_one_go)
    path, digest = _file(tmp_path, size_bytes)
    told: list[int] = []
    async with GatewayClient.connect(url, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client:
        for _ in range(2):  # The second time it is there.
            await client.upload(path, digest, size_bytes, told=told.append)
        assert await _fetch(client, digest, size_bytes) == digest
    assert told[-1] == size_bytes
    assert told == sorted(told)


@pytest.mark.parametrize("at_one_go", [100_000, 1024 * 1024])
@pytest.mark.parametrize("left", [None, b"", b"half"], ids=["moved away", "emptied", "truncated"])
async def test_file_that_the_spool_has_lost_or_cut_is_whole_when_its_office_brings_it_again(
    url: str, home: House, tmp_path: Path, left: bytes | None, at_one_go: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_AT_ONE_GO", at_one_go)
    monkeypatch.setattr(gateway, "_PAUSE_FIRST_S", 0.01)
    path, digest = _file(tmp_path, 300_000)
    async with GatewayClient.connect(url, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client:
        await client.upload(path, digest, 300_000)
        (kept,) = (tmp_path / "spool").rglob(digest)
        kept.unlink()
        if left is not None:
            kept.write_bytes(left)
        await client.upload(path, digest, 300_000)
        assert await _fetch(client, digest, 300_000) == digest


@pytest.mark.parametrize("size_bytes", [1000, 300_000])
async def test_file_that_was_altered_in_the_spool_is_whole_when_another_office_has_brought_it(
    url: str, home: House, tmp_path: Path, size_bytes: int
) -> None:
    path, digest = _file(tmp_path, size_bytes)
    for office in (SENDER, COMMUNE):
        async with GatewayClient.connect(url, office=office, key=home.province.signer(office), now=home.now) as client:
            await client.upload(path, digest, size_bytes)
        (kept,) = (tmp_path / "spool").rglob(digest)
        if office == SENDER:
            kept.write_bytes(bytes(size_bytes))
    assert kept.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("at_one_go", [100_000, 1024 * 1024])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_what_is_cut_goes_on(
    url: str, home: House, tmp_path: Path, way: str, at_one_go: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_AT_ONE_GO", at_one_go)
    monkeypatch.setattr(gateway, "_PAUSE_FIRST_S", 0.01)
    path, digest = _file(tmp_path, 900_000)
    async with (
        _cut_once(url, way=way) as thin,
        GatewayClient.connect(thin, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client,
    ):
        await client.upload(path, digest, 900_000)
        assert await _fetch(client, digest, 900_000) == digest


async def test_gateway_says_no_with_its_code(url: str, home: House, tmp_path: Path) -> None:
    path, digest = _file(tmp_path, MOST_BYTES + 1)
    async with GatewayClient.connect(url, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client:
        with pytest.raises(PermanentError) as large:
            await client.upload(path, digest, MOST_BYTES + 1)
        with pytest.raises(PermanentError) as absent:
            await _fetch(client, digest, 10)
    assert (large.value.code, absent.value.code) == ("ATT.SIZE", "API.NOT_FOUND")


_STRANGE = {
    "the server's own no": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nInvalid.",
    "a proxy's no": b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "a page from elsewhere": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", _STRANGE.values(), ids=_STRANGE.keys())
async def test_no_that_is_not_the_gateways_own_is_asked_about_again(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """Who stands between may say anything: a document must not end for that."""
    monkeypatch.setattr(gateway, "_PAUSE_FIRST_S", 0.01)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    between = await asyncio.start_server(say, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{between.sockets[0].getsockname()[1]}"
    path, digest = _file(tmp_path, 300_000)
    async with GatewayClient.connect(url, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client:
        for call in (client.upload(path, digest, 300_000), _fetch(client, digest, 10)):
            with pytest.raises(TransientError):
                await call
    between.close()


async def test_token_that_is_not_believed_now_may_be_later(
    url: str, home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock is wrong, or the roll does not know a new certificate yet."""
    monkeypatch.setattr(gateway, "_PAUSE_FIRST_S", 0.01)
    path, digest = _file(tmp_path, 100)
    key, ahead = home.province.signer(SENDER), timedelta(days=1)
    async with GatewayClient.connect(url, office=SENDER, key=key, now=lambda: home.at + ahead) as client:
        with pytest.raises(TransientError) as caught:
            await client.upload(path, digest, 100)
        assert caught.value.code == "API.AUTH"
        ahead = timedelta(0)
        await client.upload(path, digest, 100)


@pytest.mark.parametrize("url", ["", "gateway.example.vn", "ftp://127.0.0.1/", "http://127.0.0.1:abc", "http://[1"])
async def test_address_of_no_gateway_is_a_wrong_setting(home: House, url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        async with GatewayClient.connect(url, office=SENDER, key=home.province.signer(SENDER), now=home.now):
            pass
    assert caught.value.code == "CFG.INVALID"


async def test_gateway_that_is_away_or_silent_is_asked_again_later(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(gateway, "_SMALL_S", 0.1)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    path, digest = _file(tmp_path, 300_000)
    for away in (f"http://127.0.0.1:{port}", "http://127.0.0.1:1"):
        async with GatewayClient.connect(away, office=SENDER, key=home.province.signer(SENDER), now=home.now) as client:
            with pytest.raises(TransientError):
                await client.upload(path, digest, 300_000)
    silent.close()
