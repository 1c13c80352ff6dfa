"""Desk: which office calls, and how much of the gateway it may use at a time.

An office shows a token, the certificate of its connection, or both. The
certificate is what the server itself has seen in the TLS handshake: no header is
asked for it, which anybody could write who reaches the port.

Spec: docs/protocol/gateway.md 1, 6; docs/protocol/keys.md 6.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from math import ceil

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from axis import clock, routing, seal
from axis.edxml.values import local_date
from axis.errors import refuse
from axis.intake import Allowance
from axis.registry import Office, Registry

_READS = ("GET", "HEAD")
_OF_PAGES = ("origin", "sec-fetch-site")  # Browsers send them; Fetch Metadata §2, RFC 6454 §7.


class Desk:
    """Knows callers by their tokens and certificates, and counts what each is having served."""

    def __init__(self, roll: Callable[[], tuple[Registry, seal.Trust]], per_office: int, allowance: Allowance) -> None:
        self._roll = roll
        self._per_office = per_office
        self._allowance = allowance
        self._tokens = seal.Tokens()
        self._busy = Counter[str]()

    def caller(self, scope: Scope) -> str:
        """Return the code of the office that calls; all that it shows must be good, and say the same.

        Raises:
            Refusal: API.AUTH; MSG.NOT_ALLOWED, it takes no part now and may only read.
            TransientError: KEY.REVOCATION_UNKNOWN
        """
        token = _token(Headers(scope=scope).get("authorization", ""))
        return (self.by_certificate(scope) if token is None else self.admitted(scope, self.bearer(token))).code

    def by_certificate(self, scope: Scope) -> Office:
        """Return the office that calls, by the certificate of its connection alone.

        Raises:
            Refusal: As `caller`.
        """
        headers = Headers(scope=scope)
        if _certificate(scope) is None:
            raise refuse("API.AUTH", "Bearer token")
        if any(name in headers for name in _OF_PAGES):
            # A browser shows its certificate for any page that asks it to, whosever that is.
            raise refuse("API.AUTH", "Bearer token, from a browser", detail_vi="Bearer token, từ trình duyệt")
        return self.admitted(scope)

    def bearer(self, token: str) -> str:
        """Return the OrganId for which a token speaks.

        Raises:
            Refusal: API.AUTH
            TransientError: KEY.REVOCATION_UNKNOWN
        """
        return self._tokens.check(token, self._roll()[1], clock.now())

    def admitted(self, scope: Scope, *shown: str) -> Office:
        """Return the office that calls, by what it has shown and the certificate of its connection, if it has shown one.

        Args:
            scope: Of the request.
            shown: For which OrganIds that speaks.

        Raises:
            Refusal: API.AUTH; MSG.NOT_ALLOWED, it takes no part now and may only read.
            TransientError: KEY.REVOCATION_UNKNOWN
        """
        roll, trust = self._roll()
        now, certificate = clock.now(), _certificate(scope)
        if certificate is not None:
            shown = (*shown, seal.check_peer(certificate, trust, now))
        office, *others = (roll.find(one) for one in shown)
        if office is None:
            raise refuse("API.AUTH", "office")
        if any(other is not office for other in others):
            raise refuse("API.AUTH", "token ≠ certificate", detail_vi="token ≠ chứng thư")
        if scope["method"] not in _READS:  # What it was sent it may still read.
            routing.require_active(office, local_date(now))
        return office

    def busy(self, office: str) -> int:
        """Return how many places an office holds now."""
        return self._busy[office]

    @contextlib.contextmanager
    def place(self, office: str) -> Iterator[None]:
        """Hold one of an office's places while the block runs.

        Raises:
            HTTPException: 429; all are taken, or the office has asked for too much of late.
        """
        if self._busy[office] >= self._per_office:
            raise HTTPException(429, headers={"Retry-After": "2"})
        if not self._allowance.take(office):
            raise HTTPException(429, headers={"Retry-After": str(ceil(1 / self._allowance.per_second))})
        self._busy[office] += 1
        try:
            yield
        finally:
            self._busy[office] -= 1


def _token(authorization: str) -> str | None:
    """Return the token of a header; None if there is none, for it may be shown by a certificate alone who calls.

    Raises:
        Refusal: API.AUTH; there is something else.
    """
    if not authorization:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.casefold() != "bearer" or not token:
        raise refuse("API.AUTH", "Bearer token")
    return token


def _certificate(scope: Scope) -> str | None:
    """Return the certificate that the caller has shown in the handshake, in PEM form; ASGI TLS extension 0.2."""
    tls = scope.get("extensions", {}).get("tls", {})
    return next(iter(tls.get("client_cert_chain", ())), None)
