"""Resumable uploads with the protocol's own client, on a real socket; and what that client never sends."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from random import Random
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tusclient import client as tus
from tusclient.exceptions import TusCommunicationError

from axis import seal
from axis.gateway.tus import VERSION
from tests.house import COMMUNE, OTHER, SENDER, House
from tests.integration.gateway.conftest import MOST_BYTES
from tests.integration.gateway.test_client import _cut_once
from tests.integration.gateway.test_inbox import caller

FILE = Random(7).randbytes(600_000)
DIGEST = sha256(FILE).hexdigest()
PLACE = f"/v1/tus/{DIGEST}-{len(FILE)}"
RESUMABLE = {"Tus-Resumable": VERSION}
PIECE = RESUMABLE | {"Content-Type": "application/offset+octet-stream"}


def _created(digest: str = DIGEST, size_bytes: int = len(FILE)) -> dict[str, str]:
    named = f"filename {b64encode(b'125.pdf').decode()},sha256 {b64encode(digest.encode()).decode()}"
    return RESUMABLE | {"Upload-Length": str(size_bytes), "Upload-Metadata": named}


def _sum(piece: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"sha256 {b64encode(sha256(piece).digest()).decode()}"}


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(app, home, SENDER) as client:
        yield client


def _client(url: str, home: House) -> tus.TusClient:
    token = seal.make_token(SENDER, home.province.signer(SENDER), home.at)
    return tus.TusClient(f"{url}/v1/tus", headers={"Authorization": f"Bearer {token}"})


async def _refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_client_of_the_protocol_brings_a_file_and_goes_on_after_a_cut(
    url: str, home: House, sender: httpx.AsyncClient
) -> None:
    def bring(line: str, **more: Any) -> int:
        """Bring the file from where it stands; return where that was. The client is not made for an event loop."""
        uploader = _client(line, home).uploader(file_stream=BytesIO(FILE), metadata={"sha256": DIGEST}, **more)
        begun = uploader.offset
        uploader.upload()
        return int(begun)

    async with _cut_once(url, way="up") as line:
        with pytest.raises(TusCommunicationError):
            await asyncio.to_thread(bring, line, chunk_size=500_000)
    come = 0
    async with asyncio.timeout(20):
        while not come:  # The gateway learns of the cut in its own time; what came before it is kept.
            await asyncio.sleep(0.05)
            come = int((await sender.head(PLACE, headers=RESUMABLE)).headers["Upload-Offset"])
    assert come < len(FILE)
    assert await asyncio.to_thread(bring, url, chunk_size=200_000, url=f"{url}{PLACE}") == come
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).content == FILE
    accepted = await home.accept(home.seal(home.document(), {"125.pdf": FILE}))
    assert not accepted.duplicate


async def test_upload_is_begun_asked_for_and_given_up(sender: httpx.AsyncClient, home: House) -> None:
    assert (await sender.head(PLACE, headers=RESUMABLE)).status_code == 404
    created = await sender.post("/v1/tus", headers=_created())
    assert (created.status_code, created.headers["Location"]) == (201, PLACE)
    assert created.headers["Upload-Expires"] == (home.at + timedelta(days=7)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    first = await sender.patch(PLACE, content=FILE[:1000], headers=PIECE | {"Upload-Offset": "0"})
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert (await sender.post("/v1/tus", headers=_created())).status_code == 201  # It goes on from there.
    asked = await sender.head(PLACE, headers=RESUMABLE)
    assert (asked.headers["Upload-Offset"], asked.headers["Upload-Length"]) == ("1000", str(len(FILE)))
    assert asked.headers["Cache-Control"] == "no-store"
    assert (await sender.delete(PLACE, headers=RESUMABLE)).status_code == 204
    assert (await sender.head(PLACE, headers=RESUMABLE)).status_code == 404
    await _refused(await sender.delete(PLACE, headers=RESUMABLE), 404, "API.NOT_FOUND")
    await _refused(
        await sender.patch(PLACE, content=b"x", headers=PIECE | {"Upload-Offset": "0"}), 404, "API.NOT_FOUND"
    )


async def test_piece_that_differs_from_its_checksum_is_taken_back(sender: httpx.AsyncClient) -> None:
    await sender.post("/v1/tus", headers=_created())
    half = len(FILE) // 2
    good = await sender.patch(PLACE, content=FILE[:half], headers=PIECE | {"Upload-Offset": "0"} | _sum(FILE[:half]))
    assert good.status_code == 204
    spoilt = bytes(len(FILE) - half)  # It would complete the file, and the file would not have its digest.
    headers = PIECE | {"Upload-Offset": str(half)} | _sum(FILE[half:])
    await _refused(await sender.patch(PLACE, content=spoilt, headers=headers), 460, "API.CHECKSUM")
    assert (await sender.head(PLACE, headers=RESUMABLE)).headers["Upload-Offset"] == str(half)
    last = await sender.patch(PLACE, content=FILE[half:], headers=headers)
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(FILE)))
    await _refused(await sender.delete(PLACE, headers=RESUMABLE), 403, "MSG.NOT_ALLOWED")
    again = await sender.patch(PLACE, content=b"", headers=PIECE | {"Upload-Offset": str(len(FILE))})
    assert again.status_code == 204


async def test_length_that_is_in_the_name_alone_is_bounded_too(sender: httpx.AsyncClient, home: House) -> None:
    """An upload that was begun as a small one is none of a large one."""
    large = bytes(MOST_BYTES + 1)
    digest = sha256(large).hexdigest()
    place = f"/v1/tus/{digest}-{len(large)}"
    await sender.post("/v1/tus", headers=_created(digest, 1))
    await _refused(
        await sender.patch(place, content=large, headers=PIECE | {"Upload-Offset": "0"}), 404, "API.NOT_FOUND"
    )
    assert (await sender.head(place, headers=RESUMABLE)).status_code == 404
    assert await home.spool.exists(digest) is None
    assert await home.spool.unfinished(SENDER, digest) == 0


@pytest.mark.parametrize("how", ["HEAD", "POST", "PATCH"])
async def test_upload_that_has_come_whole_but_got_no_place_gets_it_when_it_is_asked_for(
    sender: httpx.AsyncClient, home: House, how: str
) -> None:
    """Whoever is told that all of it is here brings nothing more."""
    in_the_way = home.spool._root / "sha256" / DIGEST[:2] / DIGEST  # type: ignore[operator]
    last = PIECE | {"Upload-Offset": str(len(FILE))}
    asks: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
        "HEAD": lambda: sender.head(PLACE, headers=RESUMABLE),
        "POST": lambda: sender.post("/v1/tus", headers=_created()),
        "PATCH": lambda: sender.patch(PLACE, content=b"", headers=last),
    }
    ask = asks[how]
    await sender.post("/v1/tus", headers=_created())
    in_the_way.mkdir(parents=True)
    await _refused(await sender.patch(PLACE, content=FILE, headers=PIECE | {"Upload-Offset": "0"}), 503, "SYS.SPOOL")
    assert (await ask()).status_code == 503
    in_the_way.rmdir()
    assert (await ask()).is_success
    assert await home.spool.exists(DIGEST) == len(FILE)
    assert (await sender.head(PLACE, headers=RESUMABLE)).headers["Upload-Offset"] == str(len(FILE))
    await home.accept(home.seal(home.document(), {"125.pdf": FILE}))


async def test_upload_that_has_come_whole_and_is_another_file_is_begun_again(
    sender: httpx.AsyncClient, home: House
) -> None:
    """The process died before it could compare it."""
    home.spool._part(SENDER, DIGEST).write_bytes(bytes(len(FILE)))
    assert (await sender.head(PLACE, headers=RESUMABLE)).status_code == 422
    assert (await sender.head(PLACE, headers=RESUMABLE)).status_code == 404
    await sender.post("/v1/tus", headers=_created())
    brought = await sender.patch(PLACE, content=FILE, headers=PIECE | {"Upload-Offset": "0"})
    assert (brought.status_code, await home.spool.exists(DIGEST)) == (204, len(FILE))


async def test_other_methods_by_their_names(sender: httpx.AsyncClient) -> None:
    await sender.post("/v1/tus", headers=_created())
    patched = await sender.post(
        PLACE, content=FILE[:10], headers=PIECE | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    )
    assert (patched.status_code, patched.headers["Upload-Offset"]) == (204, "10")
    given_up = await sender.post(PLACE, headers=RESUMABLE | {"X-HTTP-Method-Override": "DELETE"})
    assert given_up.status_code == 204
    await _refused(await sender.post(PLACE, headers=RESUMABLE), 400, "API.PARAMETER")
    said = await sender.request("OPTIONS", "/v1/tus")
    assert (said.status_code, said.headers["Tus-Max-Size"]) == (204, str(MOST_BYTES))
    assert said.headers["Tus-Extension"] == "creation,termination,checksum,expiration"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Length": "1"}, 412, "API.VERSION"),
        (_created() | {"Upload-Length": "x"}, 400, "API.PARAMETER"),
        (_created(size_bytes=MOST_BYTES + 1), 413, "ATT.SIZE"),
        (_created(digest="abc"), 400, "API.PARAMETER"),
        (RESUMABLE | {"Upload-Length": "1"}, 400, "API.PARAMETER"),
        (_created() | {"Upload-Metadata": "sha256 ==x=="}, 400, "API.PARAMETER"),
        (_created(digest="0" * 64, size_bytes=0), 422, "ATT.DIGEST"),
    ],
)
async def test_what_cannot_be_begun_is_a_coded_problem(
    sender: httpx.AsyncClient, headers: dict[str, Any], status: int, code: str
) -> None:
    await _refused(await sender.post("/v1/tus", headers=headers), status, code)


async def test_piece_in_the_wrong_place_or_form_is_a_coded_problem(sender: httpx.AsyncClient) -> None:
    await sender.post("/v1/tus", headers=_created())
    for headers, status, code in (
        (PIECE | {"Upload-Offset": "5"}, 409, "API.OFFSET"),
        (RESUMABLE | {"Upload-Offset": "0"}, 415, "API.MEDIA_TYPE"),
        (PIECE | {"Upload-Offset": "0", "Upload-Checksum": "md5 abcd"}, 400, "API.PARAMETER"),
        (PIECE | {"Upload-Offset": "0", "Content-Encoding": "gzip"}, 415, "ENV.ENCODING"),
        (PIECE, 400, "API.PARAMETER"),
    ):
        await _refused(await sender.patch(PLACE, content=b"x", headers=headers), status, code)
    large = await sender.patch(PLACE, content=FILE + b"x", headers=PIECE | {"Upload-Offset": "0"})
    await _refused(large, 413, "ATT.SIZE")


async def test_uploads_are_each_offices_own(app: FastAPI, sender: httpx.AsyncClient, home: House) -> None:
    await sender.post("/v1/tus", headers=_created())
    await sender.patch(PLACE, content=FILE[:10], headers=PIECE | {"Upload-Offset": "0"})
    for office in (COMMUNE, OTHER):
        async with caller(app, home, office) as stranger:
            assert (await stranger.head(PLACE, headers=RESUMABLE)).status_code == 404
    await sender.patch(PLACE, content=FILE[10:], headers=PIECE | {"Upload-Offset": "10"})
    async with caller(app, home, OTHER) as stranger:
        assert (await stranger.head(PLACE, headers=RESUMABLE)).status_code == 404
