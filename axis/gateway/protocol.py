"""Protocol: HTTP as uvicorn speaks it, with an end to how much and how long a stranger may say around a request.

The parser has no limit of its own: without these, a connection that has shown
no token could send a head or trailers without end, or keep its place for ever
and never end a head, or never read an answer. A body that the application waits
for is the application's to give up. What the server refuses before the
application hears of it is a problem document too. What it knows of TLS it tells
the application, as uvicorn itself does not.

Spec: docs/protocol/gateway.md 6; RFC 9110 6.5.1 (trailers); RFC 9457; tcp(7), TCP_USER_TIMEOUT; ASGI TLS extension 0.2.
"""

import asyncio
import socket
import ssl
from typing import Any, ClassVar

from cryptography import x509
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from axis.gateway import problems

_CLOSE = {"Connection": "close"}
_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose request line and headers are too large, or do not come, or that takes no answer."""

    head_most_bytes: ClassVar[int] = 64 * 1024
    head_within_s: ClassVar[float] = 30.0
    silence_s: ClassVar[float] = 60.0  # Of the other side, while it takes nothing of an answer.

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._unused_bytes = 0  # What has come since the last end of a head, piece of a body or end of a message.
        self._in_head = False
        self._awaited: asyncio.TimerHandle | None = None  # The next head.
        self._tls: dict[object, object] | None = None
        self._served = self.app
        # Ours to look at: the server's own answer is plain text.
        self._most, self.limit_concurrency = self.limit_concurrency, None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._tls = _tls(transport.get_extra_info("ssl_object"))
        # The kernel's to end: to close a transport waits for what is unsent, for ever.
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self.silence_s * 1000)
        )
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what nobody is given: a head that has not ended, blank lines, extensions of chunks, trailers."""
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > self.head_most_bytes:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()
        if self._tls is not None:
            self.scope["extensions"] = {"tls": self._tls}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers are discarded: what comes behind a body must not pass for what stood before it."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head: the body is the application's to read, or not."""
        self._unused_bytes, self._in_head = 0, False
        self._stop_waiting()
        self.app = _too_many() if self._is_full() else self._served
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count anew."""
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew."""
        self._unused_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the next request its time, also where a body that was not waited for stands before it."""
        super().on_response_complete()
        if self.cycle.response_complete:  # Else the next is here already, and being served.
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        answer = problems.problem("API.PARAMETER", detail="HTTP", status=400, headers=_CLOSE)
        head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _is_full(self) -> bool:
        return self._most is not None and max(len(self.connections), len(self.tasks)) >= self._most

    def _await_head(self) -> None:
        # Whatever comes in between does not prolong it: a byte now and then would hold the place for ever.
        self._awaited = self.loop.call_later(self.head_within_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None


def _too_many() -> JSONResponse:
    return problems.problem("API.BUSY", status=503, headers=_CLOSE)


def _tls(connection: ssl.SSLObject | None) -> dict[object, object] | None:
    """Return what ASGI says of a TLS connection; None where there is none, as it must be."""
    if connection is None:
        return None
    shown = connection.getpeercert(binary_form=True)
    return {
        "server_cert": None,  # Not known here, nor the number of the cipher suite.
        "client_cert_chain": [] if shown is None else [ssl.DER_cert_to_PEM_cert(shown)],
        "client_cert_name": None if shown is None else _name_in(shown),
        "tls_version": _TLS_VERSIONS.get(connection.version() or ""),
        "cipher_suite": None,
    }


def _name_in(certificate: bytes) -> str:
    try:
        return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    except (ValueError, x509.InvalidVersion):
        return ""  # OpenSSL could read it. Whoever goes by what it says will find the same.
