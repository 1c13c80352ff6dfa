"""Speech: an outcome becomes the signed receipts that state it.

One table says which receipts an outcome makes, in order; each names the one
before it. Signing needs the key alone, so this page can be tested without an
office.

Spec: docs/protocol/receipts.md; QCVN 102:2016 (status codes).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from axis.errors import CATALOGUE, Refusal
from axis.office.answers import Agreed, Declined, Delivered, Progress, Refused, Registered
from axis.receipts import Level, SignedReceipt
from axis.receipts.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The delivery that is spoken of."""

    envelope_id: str
    envelope_digest: str
    originator: str
    document_id: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The office could not take it now. Vietnamese first, safe for others to read."""

    detail: str
    is_uncertain: bool = False  # Its system may have taken it all the same.


@dataclass(frozen=True, slots=True)
class Failed:
    """The office gives up; a person must act."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unsealed:
    """The envelope does not hold what its seal promises."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The office has given the document up, or will not take it, because its originator ordered so."""

    reason: str


# With one of these codes the office says that its system may have taken the document, or not.
UNCERTAIN = frozenset({"DLV.UNCERTAIN", "DLV.FAILED_UNCERTAIN", "DLV.POISON"})

Outcome = Registered | Refused | Delivered | Progress | Agreed | Declined | Deferred | Failed | Unsealed | Withdrawn
_Saying = dict[str, Any]


def in_doubt(outcome: Outcome) -> Outcome:
    """Return what an attempt comes to after one that may have done its work.

    The system's own word about the document settles it. That it cannot be taken now, or ever, or handed over, does not.
    """
    if isinstance(outcome, Deferred):
        return replace(outcome, is_uncertain=True)
    if isinstance(outcome, Unsealed):
        return Failed("DLV.FAILED_UNCERTAIN", outcome.refusal.violations[0].vi)
    if isinstance(outcome, Failed) and outcome.code == "DLV.FAILED":
        return replace(outcome, code="DLV.FAILED_UNCERTAIN")
    return outcome


def say(
    outcome: Outcome,
    about: About,
    *,
    voice: Voice,
    previous: str | None,
    attempt: int | None,
    at: datetime,
    delivered_before: bool = False,
) -> list[SignedReceipt]:
    """Sign the receipts of one outcome.

    Args:
        outcome: What came of it.
        about: The delivery.
        voice: The office.
        previous: Digest of the receipt before, as far as the office knows.
        attempt: Its number; None for what is reported later.
        at: Now.
        delivered_before: The office has said before that it has custody.
    """
    signed: list[SignedReceipt] = []
    for saying in _SAYINGS[type(outcome)](outcome):
        if delivered_before and saying["level"] is Level.DELIVERED:
            continue
        receipt = voice.say(
            originator=about.originator,
            document_id=about.document_id,
            envelope_id=about.envelope_id,
            envelope_digest=about.envelope_digest,
            addressee=voice.organ_id,
            previous=previous,
            attempt=attempt,
            at=at,
            **saying,
        )
        signed.append(receipt)
        previous = receipt.digest
    return signed


def _delivered(_outcome: Any = None) -> Sequence[_Saying]:
    return [{"level": Level.DELIVERED, "status": "2.0.0", "status_code": "01"}]


def _registered(outcome: Registered) -> Sequence[_Saying]:
    stated = {"status": "2.0.0", "status_code": "03", "number": outcome.number, "reason": outcome.note}
    return [*_delivered(), {"level": Level.REGISTERED, **stated}]


def _refused(outcome: Refused) -> Sequence[_Saying]:
    entry = CATALOGUE["DLV.REFUSED"]
    return [
        {
            "level": Level.REFUSED,
            "status": entry.status,
            "status_code": "02",
            "reason": outcome.reason,
            "code": "DLV.REFUSED",
            "who_must_act": entry.actor,
        }
    ]


def _progress(outcome: Progress) -> Sequence[_Saying]:
    stated = {"status": "2.0.0", "status_code": outcome.status_code, "reason": outcome.note}
    return [{"level": Level.PROGRESS, **stated}]


def _agreed(outcome: Agreed) -> Sequence[_Saying]:
    agreed = {"level": Level.PROGRESS, "status": "2.0.0", "status_code": "15", "reason": outcome.note}
    registered = {"level": Level.REGISTERED, "status": "2.0.0", "status_code": "03", "number": outcome.number}
    return [*_delivered(), agreed, *([registered] if outcome.number else [])]


def _declined(outcome: Declined) -> Sequence[_Saying]:
    declined = {"level": Level.PROGRESS, "status": "2.0.0", "status_code": "16", "reason": outcome.reason}
    return [*_delivered(), declined]


def _withdrawn(outcome: Withdrawn) -> Sequence[_Saying]:
    return [{"level": Level.RECALLED, "status": "2.0.0", "status_code": "15", "reason": outcome.reason}]


def _deferred(outcome: Deferred) -> Sequence[_Saying]:
    code = "DLV.UNCERTAIN" if outcome.is_uncertain else "DLV.OFFICE_UNAVAILABLE"
    return [_of_catalogue(Level.DEFERRED, code, outcome.detail)]


def _failed(outcome: Failed) -> Sequence[_Saying]:
    return [_of_catalogue(Level.FAILED, outcome.code, outcome.detail)]


def _unsealed(outcome: Unsealed) -> Sequence[_Saying]:
    first = outcome.refusal.violations[0]
    return [
        {
            "level": Level.REFUSED,
            "status": outcome.refusal.entry.status,
            "status_code": "02",
            "reason": first.vi,
            "code": first.code,
            "who_must_act": first.who_must_act,
            "violations": outcome.refusal.violations,
        }
    ]


def _of_catalogue(level: Level, code: str, detail: str) -> _Saying:
    entry = CATALOGUE[code]
    return {
        "level": level,
        "status": entry.status,
        "reason": entry.vi.format(detail=detail),
        "code": code,
        "who_must_act": entry.actor,
    }


_SAYINGS: Mapping[type, Callable[[Any], Sequence[_Saying]]] = {
    Delivered: _delivered,
    Registered: _registered,
    Refused: _refused,
    Progress: _progress,
    Agreed: _agreed,
    Declined: _declined,
    Withdrawn: _withdrawn,
    Deferred: _deferred,
    Failed: _failed,
    Unsealed: _unsealed,
}
