"""Delivery states: what may happen to one envelope on its way to one addressee.

Rule 1: every transition stands in ANSWERS or MOVES below; nothing else in the
axis changes a state. Rule 2: a receipt is never lost: one that changes nothing
is LATE - recorded, and shown as such.

Transport only: what the office's clerks do with the document (registered, in
progress, done) is the `business` column of a delivery, never its state.

    queued -> sent -> delivered | refused
       ^       |
       |       +-> deferred -> (due again) -> sent
       |       +-> dead (a person replays) -> queued
       +- held (the addressee takes part again) -> queued; or forwarded | refused
       any that waits -> expired | recalled
    expired (its document is submitted again) -> queued

Spec: docs/protocol/deliveries.md; design promise 1 (exactly one terminal state).
"""

from enum import StrEnum

from axis.receipts import Level


class State(StrEnum):
    """Where a delivery stands. Values are what the ledger holds."""

    QUEUED = "queued"  # In custody; an attempt is due at next_at.
    SENT = "sent"  # In the office's inbox; looked after at next_at.
    DEFERRED = "deferred"  # The office could not take it; tried again at next_at.
    DEAD = "dead"  # Given up; waits for a person, until it expires.
    HELD = "held"  # The addressee is closed; waits for a word on who gets it instead, until it expires.
    DELIVERED = "delivered"  # The office has custody.
    REFUSED = "refused"  # The office, or the axis for it, said no.
    RECALLED = "recalled"  # The originator took it back before delivery.
    EXPIRED = "expired"  # Its lifetime ended first.
    FORWARDED = "forwarded"  # Its addressee's successors get it instead, each by a delivery of its own.


TERMINAL = frozenset({State.DELIVERED, State.REFUSED, State.RECALLED, State.EXPIRED, State.FORWARDED})
WAITING = frozenset(State) - TERMINAL
_ON_ITS_WAY = WAITING - {State.HELD}  # To its addressee, who may have something to say about it.
DUE = frozenset({State.QUEUED, State.DEFERRED})  # An attempt may start from these.

LATE = None  # Recorded, without effect on the state.
OF_ONE_ATTEMPT = frozenset({Level.DEFERRED, Level.FAILED})  # Late, too, once there has been another attempt.

_NOWHERE: dict[State, State | None] = dict.fromkeys(State, LATE)
_TAKES_CUSTODY = _NOWHERE | dict.fromkeys((*_ON_ITS_WAY, State.DELIVERED), State.DELIVERED)

# What a receipt of each level does to a delivery in each state.
ANSWERS: dict[Level, dict[State, State | None]] = {
    Level.DELIVERED: _TAKES_CUSTODY,
    # An office that registers or works on a document has it: the order in which its receipts arrive does not matter.
    Level.REGISTERED: _TAKES_CUSTODY,
    Level.PROGRESS: _TAKES_CUSTODY,
    # A clerk may still say no after the system took it; that is business then, and transport stays delivered.
    Level.REFUSED: _NOWHERE
    | dict.fromkeys((*_ON_ITS_WAY, State.REFUSED), State.REFUSED)
    | {State.DELIVERED: State.DELIVERED},
    Level.DEFERRED: _NOWHERE | dict.fromkeys(_ON_ITS_WAY - {State.DEAD}, State.DEFERRED),
    Level.FAILED: _NOWHERE | dict.fromkeys(_ON_ITS_WAY, State.DEAD),
    Level.EXPIRED: _NOWHERE | dict.fromkeys(WAITING, State.EXPIRED),
    # The axis, or an addressee that had not taken it, says so of what waits; an addressee says it of the copy that it has
    # withdrawn, and transport stays delivered: it was.
    Level.RECALLED: _NOWHERE
    | dict.fromkeys((*WAITING, State.RECALLED), State.RECALLED)
    | {State.DELIVERED: State.DELIVERED},
    # The axis refuses one addressee of an envelope at acceptance, before the delivery has been anywhere; an order, when it is
    # judged; and what was held and is returned.
    Level.REJECTED: _NOWHERE | dict.fromkeys((State.QUEUED, State.HELD, State.REFUSED), State.REFUSED),
    # Said at acceptance, of what no addressee is there to take; and how that ends, where somebody gets it instead.
    Level.HELD: _NOWHERE | {State.QUEUED: State.HELD},
    Level.FORWARDED: _NOWHERE | {State.HELD: State.FORWARDED},
    # The office has it, and is late with it: that moves nothing.
    Level.REMINDED: _NOWHERE | {State.DELIVERED: State.DELIVERED},
    # Acceptance is about the envelope; it moves no delivery.
    Level.ACCEPTED: _NOWHERE,
}

# What the axis does without a receipt: move -> (from, to).
MOVES: dict[str, tuple[frozenset[State], State]] = {
    "attempt": (DUE, State.SENT),
    "put back": (frozenset({State.SENT}), State.QUEUED),
    "replay": (frozenset({State.DEAD}), State.QUEUED),
    "release": (frozenset({State.HELD}), State.QUEUED),
    "begin anew": (frozenset({State.EXPIRED}), State.QUEUED),  # The one way out of an end: its originator asks again.
}


def after(state: State, level: Level) -> State | None:
    """Return the state after a receipt of `level`, or None if it is late."""
    return ANSWERS[level][state]
