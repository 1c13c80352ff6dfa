"""Gateway client: attachments go to the axis and come from it, by digest.

Uploads ask first how much of a file is there and go on from that byte;
downloads go on after a cut with a range. Every request carries a token, signed
with the office's key and used for half its life; where the gateway, or a proxy
before it, asks for a certificate, the office may show its own beside that.
Memory holds one chunk.

The client is aiohttp: a request of httpx costs ten times its processor time,
and every document makes one at each end.

Spec: docs/protocol/gateway.md; RFC 9110 §14 (ranges); RFC 9457 (problems).
"""

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from cryptography.hazmat.primitives.serialization import Encoding

from axis.clock import Clock
from axis.errors import CATALOGUE, PermanentError, TransientError
from axis.seal import SigningKey, make_token
from axis.seal.token import LIFETIME

_CHUNK_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024  # Of an upload: what must get through within _SILENCE_S.
_AT_ONE_GO = 1024 * 1024  # A file that is brought without asking how much of it is there: a cut costs little.
_CUTS = 5  # In a row, without a byte between them; then it is somebody else's turn to decide.
_PAUSE_FIRST_S = 0.5
_SILENCE_S = 60.0  # Of the other side; then the line is taken for dead.
_SMALL_S = 120.0  # For a request that is small, and its answer.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=_SILENCE_S)
_DEAD_LINE = (aiohttp.ClientError, TimeoutError, OSError)
# Of the 4xx, those that another try may mend; 401 too: a clock may be wrong, or the roll behind a new certificate.
_AGAIN = frozenset({401, 408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that has been read as a whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Raises: ValueError"""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class GatewayClient:
    """Speaks to one gateway for one office."""

    url: str
    office: str
    key: SigningKey
    http: aiohttp.ClientSession
    now: Clock
    _token: list[tuple[str, datetime]] = field(default_factory=list, init=False)  # The present one, and until when.

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, url: str, *, office: str, key: SigningKey, now: Clock, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["GatewayClient"]:
        """Open connections as they are needed; the gateway may be away, and come later.

        Args:
            url: Of the gateway.
            office: Who calls.
            key: Its key.
            now: The present time.
            tls: See `client_tls`; None believes the authorities that the machine knows.

        Raises:
            PermanentError: CFG.INVALID; that is no address of a gateway.
        """
        _require_address(url)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if tls is None else tls),
            timeout=_TIMEOUT,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_CHUNK_BYTES,
            auto_decompress=False,
            proxy=_proxy(url),
        ) as http:
            yield cls(url=url.rstrip("/"), office=office, key=key, http=http, now=now)

    async def upload(
        self, source: Path | bytes, sha256: str, size_bytes: int, *, told: Callable[[int], None] = lambda _done: None
    ) -> None:
        """Bring a file to the axis, going on where an earlier upload ended; `told` hears of bytes done.

        Raises:
            PermanentError: The gateway does not want the file.
            TransientError: It could not be brought there now.
        """
        if size_bytes <= _AT_ONE_GO and await self._put(source, sha256):
            told(size_bytes)
            return
        cuts = 0
        while True:
            try:
                offset = await self._offset(sha256, size_bytes)
                if offset is None:
                    told(size_bytes)
                    return
                # Also at the very end: all bytes may be there of a file that nobody has looked at as a whole.
                if await self._send(source, sha256, offset if offset <= size_bytes else 0, size_bytes, told):
                    return
            except TransientError:
                cuts += 1
                if cuts >= _CUTS:
                    raise
                await asyncio.sleep(_PAUSE_FIRST_S * 2**cuts)
            else:
                cuts = 0

    async def _put(self, source: Path | bytes, sha256: str) -> bool:
        """Bring a small file in one request; False if that did not go through, and must be done step by step.

        Raises:
            PermanentError: The gateway does not want the file.
        """
        content = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)
        try:
            answer = await self._ask("PUT", f"/v1/uploads/{sha256}", content=content)
            _require_good(answer)
        except TransientError:
            return False
        return True

    async def _offset(self, sha256: str, size_bytes: int) -> int | None:
        """Return how much of an upload has come; None if the file is in the spool, in its size."""
        there = await self._ask("HEAD", f"/v1/attachments/{sha256}")
        if there.is_good and there.headers.get("Content-Length") == str(size_bytes):
            return None
        answer = await self._ask("HEAD", f"/v1/uploads/{sha256}")
        _require_good(answer)
        return int(answer.headers.get("Upload-Offset", "0"))

    async def _send(
        self, source: Path | bytes, sha256: str, offset: int, size_bytes: int, told: Callable[[int], None]
    ) -> bool:
        """Send what is missing; return whether the axis has the whole file now."""
        headers = {
            "Upload-Offset": str(offset),
            "Upload-Length": str(size_bytes),
            "Content-Length": str(size_bytes - offset),
            "Content-Type": "application/offset+octet-stream",
        }
        with _dead_line_is_transient():
            async with asyncio.timeout(_SILENCE_S) as silence:

                def heard(done: int) -> None:
                    silence.reschedule(asyncio.get_running_loop().time() + _SILENCE_S)
                    told(done)

                with await asyncio.to_thread(_open_at, source, offset) as file:
                    pieces = _pieces(file, offset, heard)
                    answer = await self._request("PATCH", f"/v1/uploads/{sha256}", headers=headers, data=pieces)
        _require_good(answer)
        return answer.status == 201

    async def stream(self, sha256: str, size_bytes: int, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a file from a byte on, going on after a cut. What it holds is not checked here.

        Raises:
            PermanentError: API.NOT_FOUND; it is not there, or not for this office.
            TransientError: It could not be had now.
        """
        got, cuts = start, 0
        while got < size_bytes:
            try:
                async for chunk in self._range(sha256, got):
                    got += len(chunk)
                    cuts = 0
                    yield chunk
                if got < size_bytes:
                    raise TransientError("SYS.SPOOL")
            except TransientError:
                cuts += 1
                if cuts >= _CUTS:
                    raise
                await asyncio.sleep(_PAUSE_FIRST_S * 2**cuts)

    async def _range(self, sha256: str, start: int) -> AsyncIterator[bytes]:
        headers = self._headers() | ({"Range": f"bytes={start}-"} if start else {})
        with _dead_line_is_transient():
            async with self.http.get(f"{self.url}/v1/attachments/{sha256}", headers=headers) as answer:
                if not answer.ok:
                    _require_good(await self._whole(answer))
                if start and answer.status != 206:
                    raise TransientError("SYS.SPOOL")
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk

    async def receipts_known(self, envelope_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return level by digest of the receipts that the axis has and we may see, for each envelope with any.

        Raises:
            AxisError: It could not be asked.
        """
        answer = await self._ask("GET", "/v1/receipts", params=[("envelope", one) for one in envelope_ids])
        _require_good(answer)
        known: dict[str, dict[str, str]] = {}
        for one in answer.json()["receipts"]:
            known.setdefault(one["envelope_id"], {})[one["digest"]] = one["level"]
        return known

    async def receipts_of(self, envelope_id: str) -> list[bytes]:
        """Return the receipts about an envelope of ours.

        Raises:
            AxisError: They could not be had.
        """
        answer = await self._ask("GET", f"/v1/envelopes/{envelope_id}/receipts")
        _require_good(answer)
        return [one["xml"].encode() for one in answer.json()["receipts"]]

    async def _ask(
        self, method: str, path: str, *, content: bytes | None = None, params: Sequence[tuple[str, str]] = ()
    ) -> _Answer:
        with _dead_line_is_transient():
            async with asyncio.timeout(_SMALL_S):
                return await self._request(method, path, data=content, params=params)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        params: Sequence[tuple[str, str]] = (),
    ) -> _Answer:
        async with self.http.request(
            method, f"{self.url}{path}", headers={**self._headers(), **(headers or {})}, data=data, params=params
        ) as answer:
            return await self._whole(answer)

    async def _whole(self, answer: aiohttp.ClientResponse) -> _Answer:
        if answer.status == 401:
            self._token.clear()  # Made when a clock was wrong, perhaps: the next one says what time it is now.
        return _Answer(answer.status, answer.headers, await answer.read())

    def _headers(self) -> dict[str, str]:
        now = self.now()
        if not self._token or self._token[0][1] <= now:
            self._token[:] = [(make_token(self.office, self.key, now), now + LIFETIME / 2)]
        return {"Authorization": f"Bearer {self._token[0][0]}"}


def client_tls(authorities: Path | None, *, key_path: Path | None = None, key: SigningKey) -> ssl.SSLContext:
    """Return an office's side of TLS.

    Args:
        authorities: Certificates (PEM) of those that the gateway's may be issued by; None: those that the machine knows.
        key_path: Where the key lies, to show its certificate to who asks for one; None shows none.
        key: The office's key.

    Raises:
        PermanentError: CFG.INVALID; a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=authorities)
        if key_path is not None:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                # Of several in the office's file the one that goes with the key; OpenSSL takes it from a file alone.
                file.write(key.certificate.public_bytes(Encoding.PEM))
                file.flush()
                context.load_cert_chain(file.name, key_path)
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"{authorities or key_path}: {error}") from error
    return context


def _require_address(url: str) -> None:
    """A gateway that is away may come back; one whose address is wrong never will."""
    try:
        place = urlsplit(url)
        is_one = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise PermanentError("CFG.INVALID", f"gateway_url must be http(s)://HOST:PORT, not {url}")


def _proxy(url: str) -> str | None:
    """Return the proxy of the office's network for a place, as the environment names it now: asked with every request, it costs as much as the request."""
    place = urlsplit(url)
    if place.hostname is None or proxy_bypass(place.hostname):
        return None
    return getproxies().get(place.scheme)


@contextlib.contextmanager
def _dead_line_is_transient() -> Iterator[None]:
    try:
        yield
    except _DEAD_LINE as error:
        raise TransientError("SYS.SPOOL") from error


def _open_at(source: Path | bytes, offset: int) -> BinaryIO:
    file = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    file.seek(offset)
    return file


async def _pieces(file: BinaryIO, offset: int, told: Callable[[int], None]) -> AsyncIterator[bytes]:
    """Yield what is left of a file. Whoever opened it closes it: nobody finishes this where the line is cut."""
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece
        offset += len(piece)
        told(offset)


def _require_good(answer: _Answer) -> None:
    """Turn an answer that is no success into an error with the gateway's code.

    Only a no of the gateway's own, with its code, is final. Whoever else stands on the way may say anything.
    """
    if answer.is_good:
        return
    problem = _problem(answer)
    if problem is not None and 400 <= answer.status < 500 and answer.status not in _AGAIN:
        raise PermanentError(*problem)
    raise TransientError(*(problem or ("API.AUTH" if answer.status == 401 else "SYS.SPOOL", str(answer.status))))


def _problem(answer: _Answer) -> tuple[str, str] | None:
    """Return code and detail of a problem answer; None if it is none of ours. A HEAD has none."""
    try:
        problem = answer.json()
    except ValueError:
        return None
    code = problem.get("code") if isinstance(problem, dict) else None
    return (code, str(problem.get("detail", ""))) if code in CATALOGUE else None
