"""Sending: one message to one address, and what came of it.

A receiver has taken a message when it says 2xx within the time. Nothing is
followed, nothing of its answer is kept, and of what went wrong the office is
told a word of a closed set.

Spec: docs/protocol/webhooks.md 6; Standard Webhooks 1.0, "Sending".
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson

from axis.errors import AxisError
from axis.webhooks import signing
from axis.webhooks.messages import Message
from axis.webhooks.places import Allowed

_CONNECT_S = 5.0
_AGENT = "document-axis"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling a message."""

    is_taken: bool
    note: str = ""  # Why not, for the office to read.
    is_the_end: bool = False  # The receiver wants nothing more (410).


@dataclass(frozen=True, slots=True)
class Post:
    """Tells messages."""

    allowed: Allowed
    timeout: timedelta
    trust: ssl.SSLContext

    @classmethod
    def open(cls, allowed: Allowed, timeout: timedelta, authorities: Path | None) -> Self:
        """Return a post that trusts public authorities, and those of a file.

        Raises:
            OSError: The file cannot be read, or holds no certificates.
        """
        trust = httpx.create_ssl_context()
        if authorities is not None:
            trust.load_verify_locations(authorities)
        return cls(allowed, timeout, trust)

    async def tell(self, url: str, message: Message, keys: Sequence[str], now: datetime) -> Told:
        """Tell a message once.

        Args:
            url: Of the webhook.
            message: What.
            keys: The secrets that sign.
            now: When.
        """
        try:
            place = self.allowed.read(url)
        except AxisError:  # It was allowed once.
            return Told(False, "url: not allowed")
        address = await self.allowed.address_of(place)
        if address is None:
            return Told(False, "host: unknown, or not one that the axis may reach")
        body = orjson.dumps(message.body())
        parts = urlsplit(url)
        host = f"[{address}]" if ":" in address else address
        request = httpx.Request(
            "POST",
            urlunsplit((parts.scheme, f"{host}:{place.port}", parts.path or "/", parts.query, "")),
            content=body,
            headers={
                "host": parts.netloc,
                "content-type": "application/json",
                "user-agent": _AGENT,
                **signing.headers(message.id, now, body, keys),
            },
            # The address is what was judged; the name is what the certificate must be for.
            extensions={
                "sni_hostname": place.host,
                "timeout": httpx.Timeout(self.timeout.total_seconds(), connect=_CONNECT_S).as_dict(),
            },
        )
        return await self._send(request)

    async def _send(self, request: httpx.Request) -> Told:
        try:
            # A connection of its own each time: the next one goes to an address that is judged then.
            async with (
                asyncio.timeout(self.timeout.total_seconds()),
                httpx.AsyncHTTPTransport(verify=self.trust, trust_env=False, retries=0) as line,
            ):
                answer = await line.handle_async_request(request)
                await answer.aclose()  # Whatever it says beyond the status is not read.
        except (TimeoutError, httpx.TimeoutException):
            return Told(False, "no answer in time")
        except httpx.ConnectError as error:
            is_trust = isinstance(_first_cause(error), ssl.SSLError)
            return Told(False, "its certificate is not trusted" if is_trust else "no connection")
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Told(False, "no answer")
        status = answer.status_code
        if 300 <= status < 400:
            return Told(False, f"HTTP {status}: a redirection is not followed")
        return Told(200 <= status < 300, f"HTTP {status}", is_the_end=status == 410)


def _first_cause(error: BaseException) -> BaseException:
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error
