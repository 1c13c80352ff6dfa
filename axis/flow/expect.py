"""Expectations: what a flow says ought to be, held against what is.

Nothing is slept for: an expectation is looked at again until it holds or its
time is over, and then says what was expected, what came, and what was said about
the messages of the flow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_LOOK_EVERY_S = 0.03

Facts = Mapping[str, Any]


class Unmet(Exception):
    """An expectation does not hold."""

    def __init__(self, expected: Facts, came: Facts) -> None:
        self.expected, self.came = dict(expected), dict(came)
        super().__init__(f"expected {self.expected}, came {self.came}")


async def eventually(expected: Facts, look: Callable[[], Awaitable[Facts]], within_s: float) -> None:
    """Wait until the facts that are expected are those that are seen.

    Args:
        expected: What ought to be, by name; None means that nobody asked.
        look: Returns what is, by the same names and perhaps more.
        within_s: How long to look, in real time.

    Raises:
        Unmet: It did not become so.
    """
    asked = {name: value for name, value in expected.items() if value is not None}
    ends = time.monotonic() + within_s
    while True:
        seen = await look()
        came = {name: seen.get(name) for name in asked}
        if came == asked:
            return
        if time.monotonic() > ends:
            raise Unmet(asked, came)
        await asyncio.sleep(_LOOK_EVERY_S)
