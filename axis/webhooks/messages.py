"""Messages: which event of the feed is told to whom, and in which words. Pure.

Rule: no content. A message names ids, states and where to look; who reads it
and is not the office has learned that something happened, and nothing more.

Spec: docs/protocol/webhooks.md 4, 5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a webhook may ask for."""

    WAITING = "document.waiting"
    RECEIPT = "receipt.recorded"
    CHANGED = "delivery.changed"


TEST = "webhook.test"  # What nobody asks for: a person tries whether a webhook works.

# What each means, for those who choose.
KINDS: dict[Kind, str] = {
    Kind.WAITING: "A document waits in the office's inbox. Told with each attempt to deliver it.",
    Kind.RECEIPT: "A signed receipt about something that the office sent is on record.",
    Kind.CHANGED: "A delivery was moved, or what it had come to confirmed: of what the office sent, or one to it that the axis ended.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing to tell."""

    id: str  # The same each time it is told.
    kind: str
    at: datetime
    data: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """Return it as it is told; Standard Webhooks, "Payload structure"."""
        return {"type": self.kind, "timestamp": self.at.isoformat(), "data": self.data}


_Event = dict[str, Any]
_Says = Callable[[_Event], dict[str, Any]]


def _attempt(event: _Event) -> dict[str, Any]:
    return {"attempt": event["detail"]["attempt"]}


def _level(event: _Event) -> dict[str, Any]:
    said = event["detail"]
    return {"level": event["event"].split(".")[1], "digest": said["digest"], "verified": said.get("verified", True)}


def _acceptance(_event: _Event) -> dict[str, Any]:
    return {"level": "accepted", "verified": True}


def _state(event: _Event) -> dict[str, Any]:
    return {"state": event["detail"]["state"], "code": event["detail"].get("code")}


def _queued(_event: _Event) -> dict[str, Any]:
    return {"state": "queued", "code": None}


_ENVELOPE = {"envelope": "/v1/envelopes/{}"}
_CONTENT = {"envelope": "/v1/envelopes/{}", "content": "/v1/envelopes/{}/content"}
_RECEIPTS = {"envelope": "/v1/envelopes/{}", "receipts": "/v1/envelopes/{}/receipts"}

_ENDED_BY_THE_AXIS = ("receipt.expired", "receipt.failed")  # What was taken back is nothing to its addressee any more.
_QUEUED_AGAIN = ("delivery.replayed", "delivery.released", "delivery.begun_anew")

# Event, or its beginning with a dot: who is told, what kind, what it says, where to look. An event may have several.
_TOLD: tuple[tuple[str, str, Kind, _Says, dict[str, str]], ...] = (
    ("delivery.attempted", "addressee", Kind.WAITING, _attempt, _CONTENT),
    ("envelope.accepted", "originator", Kind.RECEIPT, _acceptance, _RECEIPTS),
    ("receipt.", "originator", Kind.RECEIPT, _level, _RECEIPTS),
    ("receipt.", "originator", Kind.CHANGED, _state, _ENVELOPE),
    *((name, "addressee", Kind.CHANGED, _state, _ENVELOPE) for name in _ENDED_BY_THE_AXIS),
    *((name, "originator", Kind.CHANGED, _queued, _ENVELOPE) for name in _QUEUED_AGAIN),
)


def messages(event: _Event, office: str, kinds: tuple[str, ...]) -> Iterator[Message]:
    """Yield what an office is told of an event, of the kinds that it wants.

    Args:
        event: A row of the feed.
        office: Who is told.
        kinds: Keys of KINDS.
    """
    for name, who, kind, says, links in _TOLD:
        if kind not in kinds or event.get(who) != office or not _is(event["event"], name):
            continue
        said = says(event)
        if kind is Kind.CHANGED and said["state"] is None:  # The receipt was late, and moved nothing.
            continue
        envelope_id = event["envelope_id"]
        yield Message(
            id=f"{envelope_id}-{event['cursor']}-{kind}",
            kind=kind,
            at=event["at"],
            data={
                "cursor": event["cursor"],
                "envelope_id": envelope_id,
                "addressee": event["addressee"],
                **said,
                "links": {rel: path.format(envelope_id) for rel, path in links.items()},
            },
        )


def _is(event: str, name: str) -> bool:
    return event.startswith(name) if name.endswith(".") else event == name


def trial(at: datetime, number: str) -> Message:
    """Return what a person sends to see whether a webhook works."""
    return Message(id=f"test-{number}", kind=TEST, at=at, data={})
