"""Gateway client: attachments go to the axis and come from it, by digest.

Uploads ask first how much of a file is there and go on from that byte;
downloads go on after a cut with a range. Every request carries a token, signed
with the office's key and used for half its life. Memory holds one chunk.

Spec: docs/protocol/gateway.md; RFC 9110 §14 (ranges); RFC 9457 (problems).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx

from axis.clock import Clock
from axis.errors import CATALOGUE, AxisError, PermanentError, TransientError
from axis.seal import SigningKey, make_token
from axis.seal.token import LIFETIME

_CHUNK_BYTES = 1024 * 1024
_AT_ONE_GO = 256 * 1024  # A file that a cut line would lose little of.
_CUTS = 5  # In a row, without a byte between them; then it is somebody else's turn to decide.
_PAUSE_FIRST_S = 0.5
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_AGAIN = frozenset({408, 409, 425, 429})  # Of the 4xx, those that another try may mend.


@dataclass(frozen=True, kw_only=True)
class GatewayClient:
    """Speaks to one gateway for one office."""

    office: str
    key: SigningKey
    http: httpx.AsyncClient
    now: Clock
    _token: list[tuple[str, datetime]] = field(default_factory=list, init=False)  # The present one, and until when.

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, url: str, *, office: str, key: SigningKey, now: Clock) -> AsyncIterator["GatewayClient"]:
        """Open connections as they are needed; the gateway may be away, and come later."""
        async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT) as http:
            yield cls(office=office, key=key, http=http, now=now)

    async def upload(
        self, path: Path, sha256: str, size_bytes: int, *, told: Callable[[int], None] = lambda _done: None
    ) -> None:
        """Bring a file to the axis, going on where an earlier upload ended; `told` hears of bytes done.

        Raises:
            PermanentError: The gateway does not want the file.
            TransientError: It could not be brought there now.
        """
        if size_bytes <= _AT_ONE_GO and await self._put(path, sha256):
            told(size_bytes)
            return
        cuts = 0
        while True:
            try:
                offset = await self._offset(sha256)
                if offset is None:
                    told(size_bytes)
                    return
                # Also at the very end: all bytes may be there of a file that nobody has looked at as a whole.
                if await self._send(path, sha256, offset if offset <= size_bytes else 0, size_bytes, told):
                    return
            except TransientError:
                cuts += 1
                if cuts >= _CUTS:
                    raise
                await asyncio.sleep(_PAUSE_FIRST_S * 2**cuts)
            else:
                cuts = 0

    async def _put(self, path: Path, sha256: str) -> bool:
        """Bring a small file in one request; False if that did not go through, and must be done step by step.

        Raises:
            PermanentError: The gateway does not want the file.
        """
        try:
            answer = await self._ask("PUT", f"/v1/uploads/{sha256}", content=await asyncio.to_thread(path.read_bytes))
            _require_good(answer)
        except TransientError:
            return False
        return True

    async def _offset(self, sha256: str) -> int | None:
        """Return how much of an upload has come; None if the file is in the spool."""
        if (await self._ask("HEAD", f"/v1/attachments/{sha256}")).is_success:
            return None
        answer = await self._ask("HEAD", f"/v1/uploads/{sha256}")
        _require_good(answer)
        return int(answer.headers.get("Upload-Offset", "0"))

    async def _send(self, path: Path, sha256: str, offset: int, size_bytes: int, told: Callable[[int], None]) -> bool:
        """Send what is missing; return whether the axis has the whole file now."""
        answer = await self._ask(
            "PATCH",
            f"/v1/uploads/{sha256}",
            headers={
                "Upload-Offset": str(offset),
                "Upload-Length": str(size_bytes),
                "Content-Length": str(size_bytes - offset),
                "Content-Type": "application/offset+octet-stream",
            },
            content=_chunks(path, offset, told),
        )
        _require_good(answer)
        return answer.status_code == 201

    async def stream(self, sha256: str, size_bytes: int) -> AsyncIterator[bytes]:
        """Yield a file, going on after a cut. What it holds is not checked here.

        Raises:
            PermanentError: API.NOT_FOUND; it is not there, or not for this office.
            TransientError: It could not be had now.
        """
        got = cuts = 0
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
        try:
            async with self.http.stream("GET", f"/v1/attachments/{sha256}", headers=headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    _require_good(answer)
                if start and answer.status_code != 206:
                    raise TransientError("SYS.SPOOL")
                async for chunk in answer.aiter_bytes(_CHUNK_BYTES):
                    yield chunk
        except httpx.TransportError as error:
            raise TransientError("SYS.SPOOL") from error

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
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: AsyncIterator[bytes] | bytes | None = None,
        params: list[tuple[str, str | int | float | bool | None]] | None = None,
    ) -> httpx.Response:
        try:
            return await self.http.request(
                method, path, headers=self._headers() | (headers or {}), content=content, params=params
            )
        except httpx.TransportError as error:
            raise TransientError("SYS.SPOOL") from error

    def _headers(self) -> dict[str, str]:
        now = self.now()
        if not self._token or self._token[0][1] <= now:
            self._token[:] = [(make_token(self.office, self.key, now), now + LIFETIME / 2)]
        return {"Authorization": f"Bearer {self._token[0][0]}"}


async def _chunks(path: Path, offset: int, told: Callable[[int], None]) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(offset)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
            offset += len(chunk)
            told(offset)


def _require_good(answer: httpx.Response) -> None:
    """Turn an answer that is no success into an error with the gateway's code."""
    if answer.is_success:
        return
    kind: type[AxisError] = (
        TransientError if answer.status_code >= 500 or answer.status_code in _AGAIN else PermanentError
    )
    raise kind(*_problem(answer))


def _problem(answer: httpx.Response) -> tuple[str, str]:
    """Return code and detail of a problem answer; a HEAD has none."""
    fallback = "API.NOT_FOUND" if answer.status_code == 404 else "SYS.SPOOL"
    try:
        problem = answer.json()
    except ValueError:
        return (fallback if answer.status_code != 401 else "API.AUTH"), str(answer.status_code)
    code = problem.get("code") if isinstance(problem, dict) else None
    if code not in CATALOGUE:
        return fallback, str(answer.status_code)
    return code, str(problem.get("detail", ""))
