"""Allowance: how much an office may hand in before it stands behind the others.

The gateway counts requests with the same buckets, and refuses for now what is beyond them.

All offices share one queue into the axis. One that hands in a hundred thousand
envelopes at once - a loop gone wrong, a register brought over - must not make
every other office wait until they are judged. Each office has a bucket of
tokens; an envelope that finds it empty is not refused, it is put behind.

Spec: docs/protocol/intake.md, "Turns"; the token bucket of RFC 2697.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A bucket for each office, in this process."""

    burst: int  # Envelopes, or requests, at once.
    per_second: float  # Then.
    clock_s: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict, init=False)

    def take(self, office: str) -> bool:
        """Take one token; False if the office has none left."""
        now_s = self.clock_s()
        bucket = self._buckets.setdefault(office, _Bucket(self.burst, now_s))
        bucket.tokens = min(float(self.burst), bucket.tokens + (now_s - bucket.at_s) * self.per_second)
        bucket.at_s = now_s
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
