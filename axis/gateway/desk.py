"""Desk: which office calls, and how much of the gateway it may use at a time.

Spec: docs/protocol/gateway.md 1, 6; docs/protocol/keys.md 6.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from math import ceil

from starlette.exceptions import HTTPException

from axis import clock, routing, seal
from axis.edxml.values import local_date
from axis.errors import refuse
from axis.intake import Allowance
from axis.registry import Registry

_READS = ("GET", "HEAD")


class Desk:
    """Knows callers by their tokens, and counts what each is having served."""

    def __init__(self, roll: Callable[[], tuple[Registry, seal.Trust]], per_office: int, allowance: Allowance) -> None:
        self._roll = roll
        self._per_office = per_office
        self._allowance = allowance
        self._tokens = seal.Tokens()
        self._busy = Counter[str]()

    def caller(self, authorization: str, method: str) -> str:
        """Return the code of the office that calls.

        Raises:
            Refusal: API.AUTH; MSG.NOT_ALLOWED, it takes no part now and may only read.
            TransientError: KEY.REVOCATION_UNKNOWN
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer" or not token:
            raise refuse("API.AUTH", "Bearer token")
        roll, trust = self._roll()
        now = clock.now()
        office = roll.find(self._tokens.check(token, trust, now))
        if office is None:
            raise refuse("API.AUTH", "office")
        if method not in _READS:  # What it was sent it may still read.
            routing.require_active(office, local_date(now))
        return office.code

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
