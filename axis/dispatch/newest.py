"""Newest: nobody is refused by a roll that has changed.

A process takes a new roll over within seconds. An office whose key was loaded a
moment ago, or that was, may use it at once; a signed no to what it sends would
stand for ever. So before one is said the ledger is asked whether the roll has
changed, and what would be refused is judged again by the new one.

Spec: docs/protocol/intake.md 4; docs/protocol/receipts.md.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from axis import brief, seal
from axis.errors import PermanentError, Refusal
from axis.registry import Registry

T = TypeVar("T")
R = TypeVar("R")

Roll = tuple[Registry, seal.Trust]
Renew = Callable[[], Awaitable[object]]  # Takes over what the roll is by now.


async def as_it_is() -> None:
    """Take over nothing: the roll is that of the caller."""


async def by_newest(
    judge: Callable[[T, Roll], R | Exception],
    came: Sequence[T],
    roll: Callable[[], Roll],
    renew: Renew,
    size_of: Callable[[T], int],
) -> list[R | Exception]:
    """Judge what came together; what would be refused, by the roll of this moment.

    Args:
        judge: Says what one is, or why it is refused.
        came: All of them.
        roll: The roll as it is known.
        renew: Has it known as it is.
        size_of: How many bytes one has.

    Raises:
        TransientError: Whether the roll has changed cannot be known now.
    """
    known = roll()
    judged = await brief.each(lambda one: judge(one, known), came, size_of)
    refused = [number for number, one in enumerate(judged) if isinstance(one, Refusal)]
    if not refused:
        return judged
    try:
        await renew()
    except PermanentError:
        return judged  # The trust folder cannot be read: the loop that follows it says so, and what is known counts.
    newest = roll()
    if newest is known:
        return judged
    again = await brief.each(lambda one: judge(one, newest), [came[number] for number in refused], size_of)
    for number, one in zip(refused, again, strict=True):
        judged[number] = one
    return judged
