"""Retry schedule: how long a deferred delivery waits, and whom that concerns.

A value: it never sleeps, reads no clock and draws no random number, so that a
test can see every wait it may return. When the lifetime ends is not its
business: a delivery expires at a time fixed at acceptance.

Spec: RFC 5321 §4.5.4.1 (growing interval, give up after days). Ours begin at
seconds, because offices come back sooner than mail hosts: docs/adr/0004.
"""

from dataclasses import dataclass
from datetime import timedelta

from axis.edxml import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """Growing waits with jitter; the last one repeats."""

    waits: tuple[timedelta, ...]  # After the first, second, ... failure. Not empty, each > 0.
    urgent_factor: float = 0.5  # For VERY_URGENT and above. 0 < factor <= 1.
    spread: float = 0.2  # Jitter, as a fraction of the wait. 0 <= spread < 1.

    def __post_init__(self) -> None:
        if not self.waits or min(self.waits) <= timedelta(0):
            raise ValueError("retry: every wait must be longer than nothing")
        if not 0 <= self.spread < 1 or not 0 < self.urgent_factor <= 1:
            raise ValueError("retry: need 0 <= spread < 1 and 0 < urgent_factor <= 1")

    @property
    def longest(self) -> timedelta:
        """No wait is longer."""
        return max(self.waits) * (1 + self.spread)

    def wait(self, *, attempts: int, priority: int, draw: float) -> timedelta:
        """Return the wait before the next attempt.

        Args:
            attempts: Attempts made so far, >= 1.
            priority: 0 to 4, as on the wire.
            draw: Uniform in [0, 1). The caller owns the randomness.
        """
        base = self.waits[min(attempts, len(self.waits)) - 1]
        factor = self.urgent_factor if priority >= Priority.VERY_URGENT else 1.0
        return base * factor * (1 + self.spread * (2 * draw - 1))


def is_news(*, age: timedelta, told_at_age: timedelta | None, marks: tuple[timedelta, ...]) -> bool:
    """Tell whether a waiting delivery has become news for its originator.

    The first deferral is; after that, each age in `marks`, once.

    Args:
        age: Since acceptance, now.
        told_at_age: Age at the last notice; None if there was none.
        marks: Ages worth a notice.
    """
    return told_at_age is None or any(told_at_age < mark <= age for mark in marks)
