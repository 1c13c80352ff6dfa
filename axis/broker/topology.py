"""Topology: every exchange, queue and binding, as one value.

An office writes to its own exchange and reads its own inbox, and nothing else:
who published a message is known by the exchange that it came through. An inbox
is two queues: urgent envelopes wait in one of their own. Queues
are quorum queues, every limit is stated, and what a queue gives up goes to
`axis.dead` at least once. Arguments never change under a name: a queue that
must differ gets another name.

Spec: docs/protocol/broker.md.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from axis.edxml import Priority

DELIVER = "axis.deliver"  # Exchange: the routing key says whose inbox, and which of its queues.
SUBMIT = "axis.submit"
SUBMIT_EXPRESS = "axis.submit.express"  # Urgent documents pass ordinary ones here.
SUBMIT_LATER = "axis.submit.later"  # What an office hands in beyond its allowance waits here, behind the others.
RECEIPTS = "axis.receipts"
HEARTBEATS = "axis.heartbeats"
DEAD = "axis.dead"

MOST_BYTES = 4 * 1024 * 1024  # Of one message: the largest receipt; the broker is told to take nothing larger.


_OFFICE = "office."
_INBOX = "inbox."
_EXPRESS_INBOX = "inbox-express."
_EXPRESS_KEY = "express:"  # No OrganId holds a colon.

# What an office may publish: routing key -> queue.
OFFICE_KEYS = {
    "submit": SUBMIT,
    "express": SUBMIT_EXPRESS,
    "later": SUBMIT_LATER,  # The axis puts messages there; an office that does so itself stands behind, as it wished.
    "receipt": RECEIPTS,
    "heartbeat": HEARTBEATS,
}

# Of one office's account, so that none uses up the broker's: more than an office with 256 documents at work needs, and
# some for connections that a line has lost and the broker has not given up yet.
ACCOUNT_LIMITS = {"max-connections": 32, "max-channels": 512}

_DELIVERY_LIMIT = 20
_LONGEST_INTAKE = 500_000
_LONGEST_INBOX = 200_000  # The ledger holds what does not fit.
_LONGEST_BEATS = 10_000


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """Exchange, routing key, queue."""

    exchange: str
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What must be there. All exchanges are direct and durable."""

    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Permissions:
    """RabbitMQ's three regular expressions, anchored."""

    configure: str
    write: str
    read: str


def province(codes: Iterable[str]) -> Topology:
    """Return the layout for the axis and these offices."""
    codes = tuple(codes)
    return Topology(
        exchanges=(DELIVER, *map(office_exchange, codes)),
        queues=(
            *(_quorum(name, _LONGEST_INTAKE) for name in (SUBMIT, SUBMIT_EXPRESS, SUBMIT_LATER, RECEIPTS)),
            _quorum(HEARTBEATS, _LONGEST_BEATS),
            # The last stop: no limit on deliveries, no further letter, nothing dies of age.
            Queue(DEAD, {"x-queue-type": "quorum"}),
            *(_quorum(queue, _LONGEST_INBOX) for code in codes for queue in inboxes(code)),
        ),
        bindings=(
            *(
                Binding(DELIVER, deliver_key(code, urgent), inbox(code, urgent))
                for code in codes
                for urgent in (False, True)
            ),
            *(Binding(office_exchange(code), key, queue) for code in codes for key, queue in OFFICE_KEYS.items()),
        ),
    )


def _quorum(name: str, longest: int) -> Queue:
    return Queue(
        name,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": _DELIVERY_LIMIT,
            "x-max-length": longest,
            # A full queue says no to the publisher; it never drops what it holds.
            "x-overflow": "reject-publish",
            "x-dead-letter-strategy": "at-least-once",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD,
        },
    )


def permissions(code: str) -> Permissions:
    """Return what the account of an office may do: write its exchange, read its inbox, make nothing."""
    reads = "|".join(map(re.escape, inboxes(code)))
    return Permissions("^$", f"^{re.escape(office_exchange(code))}$", f"^({reads})$")


def office_exchange(code: str) -> str:
    """Return the exchange that an office writes to."""
    return f"{_OFFICE}{code}"


def inbox(code: str, urgent: bool = False) -> str:
    """Return the queue that holds an office's ordinary envelopes and its receipts, or the one of its urgent envelopes."""
    return f"{_EXPRESS_INBOX if urgent else _INBOX}{code}"


def inboxes(code: str) -> tuple[str, str]:
    """Return the two queues that an office reads, the ordinary one first."""
    return inbox(code), inbox(code, urgent=True)


def deliver_key(code: str, urgent: bool = False) -> str:
    """Return the routing key that leads from `axis.deliver` into an inbox."""
    return f"{_EXPRESS_KEY}{code}" if urgent else code


def is_urgent(priority: int) -> bool:
    """Tell whether an envelope of this priority passes ordinary ones, on its way in and out."""
    return priority >= Priority.VERY_URGENT


def office_of(exchange: str) -> str:
    """Return the office whose account alone can have published to this exchange."""
    if not exchange.startswith(_OFFICE):
        raise AssertionError(f"queues of the axis are bound to office exchanges only, not to {exchange!r}")
    return exchange.removeprefix(_OFFICE)


def inbox_owner(queue: str) -> str | None:
    """Return whose inbox a queue is, or None."""
    return next((queue.removeprefix(one) for one in (_INBOX, _EXPRESS_INBOX) if queue.startswith(one)), None)
