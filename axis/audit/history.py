"""History: each delivery is led through its events once more, by the table of states.

A put back - of an attempt whose message may be in an inbox, or was lost there -
is the one move that leaves no event: what was sent may stand as queued. An
attempt that reached no inbox was none: the next one has its number.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from axis.audit.walk import nothing
from axis.dispatch.states import DUE, OF_ONE_ATTEMPT, State, after
from axis.ledger import AuditFinding, Event, Ledger, Standing, Story
from axis.receipts import Level

_RECEIPT, _LATE, _BEGUN_ANEW = "receipt.", ".late", "delivery.begun_anew"
_AT_THE_DOOR = frozenset(
    {Level.ACCEPTED, Level.REJECTED}
)  # Said in the commit of acceptance, with no event of their own.
_LEVELS, _STATES = frozenset(Level), frozenset(State)  # A word of the book may be none of them: a disk forgets too.
_LED_TO = _STATES | {None}
_ONCE = _AT_THE_DOOR | {Level.EXPIRED, Level.RECALLED, Level.HELD, Level.FORWARDED}


@dataclass(slots=True)
class History:
    """I6; and that receipts, events and chain heads tell of each other (I3, I9)."""

    counted: dict[str, int] = field(default_factory=lambda: {"histories": 0})

    async def story(self, story: Story) -> AsyncIterator[AuditFinding]:
        """Judge the deliveries of one envelope."""
        events: dict[str, list[Event]] = defaultdict(list)
        for event in story.events:
            events[event.addressee].append(event)
        told = _told(story)
        # What was refused later was judged before, or held: that has an event.
        refused = {one.addressee for one in story.receipts if one.level == Level.REJECTED and one.digest not in told}
        about = story.envelope.envelope_id
        for delivery in story.deliveries:
            self.counted["histories"] += 1
            begin = State.REFUSED if delivery.addressee in refused else State.QUEUED
            for text in _replay(delivery, begin, events[delivery.addressee]):
                yield AuditFinding("I6", about, delivery.addressee, text)
        for rule, addressee, text in (*_untold(story), *_repeated(story), *_headless(story)):
            yield AuditFinding(rule, about, addressee, text)

    def rest(self, _book: Ledger) -> AsyncIterator[AuditFinding]:
        """There is nothing else."""
        return nothing()


def _replay(delivery: Standing, begin: State, events: Sequence[Event]) -> Iterator[str]:
    """Lead a delivery through its events; say each that the table does not allow."""
    state, attempts = begin, 0
    for event in events:
        if event.event == "delivery.attempted":
            if state not in DUE | {State.SENT}:
                yield f"attempted while {state}"
            if event.detail["attempt"] != attempts + 1:
                yield f"attempt {event.detail['attempt']} follows attempt {attempts}"
            state, attempts = State.SENT, int(event.detail["attempt"])
        elif event.event == "delivery.unpublished":
            if state is not State.SENT or event.detail["attempt"] != attempts:
                yield f"attempt {event.detail['attempt']} was not published, while {state} after attempt {attempts}"
            state, attempts = State.QUEUED, attempts - 1
        elif event.event == "delivery.replayed":
            if state is not State.DEAD:
                yield f"replayed while {state}"
            state = State.QUEUED
        elif event.event == "delivery.released":
            if state is not State.HELD:
                yield f"released while {state}"
            state = State.QUEUED
        elif event.event == _BEGUN_ANEW:
            if state is not State.EXPIRED:
                yield f"begun anew while {state}"
            state = State.QUEUED
        elif event.event.startswith(_RECEIPT):
            word, to = event.event.removeprefix(_RECEIPT).removesuffix(_LATE), event.detail["state"]
            if word not in _LEVELS or to not in _LED_TO:
                yield f"{event.event} to {to} is no event that there is"
                continue
            level, led = Level(word), None if to is None else State(to)
            if event.event.endswith(_LATE) != (led is None) or not _allowed(state, level, led, attempts):
                yield f"{event.event.removeprefix(_RECEIPT)} led from {state} to {led or state}"
            state = led or state
    if delivery.state not in _STATES:
        yield f"stands as {delivery.state}, which is no state"
    elif not _is(state, State(delivery.state)):
        yield f"stands as {delivery.state}, and its events end with {state}"
    if delivery.attempts != attempts:
        yield f"counts {delivery.attempts} attempts, and its events {attempts}"


def _allowed(state: State, level: Level, led: State | None, attempts: int) -> bool:
    if led is None:
        return after(state, level) is None or (level in OF_ONE_ATTEMPT and attempts > 1)
    # The axis tells of a delay in the same words as an addressee that cannot take it, and moves nothing.
    return led is after(state, level) or (level is Level.DEFERRED and _is(state, led))


def _is(told: State, stands: State) -> bool:
    return stands is told or (told is State.SENT and stands is State.QUEUED)


def _untold(story: Story) -> Iterator[tuple[str, str, str]]:
    """Find receipts without the event that recorded them, and events without their receipt."""
    told, kept = _told(story), {one.digest: one for one in story.receipts}
    for digest in sorted(told.keys() - kept.keys()):
        yield "I3", told[digest].addressee, f"receipt {digest[:12]} was recorded, and is gone"
    for digest in sorted(kept.keys() - told.keys()):
        if kept[digest].level not in _AT_THE_DOOR:
            yield "I9", kept[digest].addressee or "", f"receipt {digest[:12]} is here, and was never recorded"


def _told(story: Story) -> dict[str, Event]:
    """Return the events that recorded a receipt, by its digest."""
    return {event.detail["digest"]: event for event in story.events if event.event.startswith(_RECEIPT)}


def _repeated(story: Story) -> Iterator[tuple[str, str, str]]:
    """Find what the axis has said twice, and says once."""
    said = Counter(
        (one.level, one.addressee or "") for one in story.receipts if one.level in _ONCE and one.issuer != one.addressee
    )
    # A delivery that has begun anew has as many ends as beginnings.
    anew = Counter((Level.EXPIRED, event.addressee) for event in story.events if event.event == _BEGUN_ANEW)
    for (level, addressee), times in said.items():
        if times > 1 + anew[Level(level), addressee]:
            yield "I3", addressee, f"{level} was said {times} times"


def _headless(story: Story) -> Iterator[tuple[str, str, str]]:
    """Find deliveries whose last receipt is not here."""
    here = {one.digest for one in story.receipts}
    for delivery in story.deliveries:
        if delivery.chain_head not in here:
            yield "I9", delivery.addressee, f"its chain ends with {delivery.chain_head[:12]}, which is not here"
