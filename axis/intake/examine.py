"""Examination: everything about an envelope that can be judged without asking anybody.

Order matters: whose connection it came over, then the XML, then the seal, and
only then the schema and the rules, so that libxml2's schema code never sees
what no registered office has signed. A message that is sealed and may not pass
is looked through as a whole: its originator hears everything at once.

Spec: docs/protocol/intake.md; QCVN 102:2016; Decree 30/2020/NĐ-CP.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime

from axis import contents, edxml, registry, routing, seal
from axis.edxml import AttachmentRef, Document, values
from axis.errors import Refusal, Violation, violation

_FROM = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader/edXML:From/edXML:OrganId"


@dataclass(frozen=True, slots=True)
class Examined:
    """An envelope that is in order, and where it goes."""

    verified: seal.Verified
    resolution: routing.Resolution
    links: tuple[routing.Link, ...]  # What it is to earlier documents.

    @property
    def attachments(self) -> tuple[AttachmentRef, ...]:
        """The files that must be in the spool before custody can begin."""
        message = self.verified.message
        return message.attachments if isinstance(message, Document) else ()


def examine(
    sealed: bytes,
    *,
    submitter: str,
    roll: registry.Registry,
    trust: seal.Trust,
    at: datetime,
    notary: str | None = None,
) -> Examined:
    """Judge one sealed envelope.

    Args:
        sealed: The envelope as received, without inline attachments.
        submitter: OrganId of the office whose account it came over.
        roll: The offices as known now.
        trust: Whose certificates are believed.
        at: Now.
        notary: OrganId of the axis, if it has sealed this one itself; no office may hand in what it has.

    Raises:
        Refusal: The first thing that is wrong with the XML or the seal; behind the seal, everything.
        TransientError: Revocation could not be checked.
    """
    verified = _verified(sealed, submitter=submitter, roll=roll, trust=trust, at=at, notary=notary)
    received, message, today = verified.received, verified.message, values.local_date(at)
    shape = edxml.misshapes(received)
    if not shape and not edxml.check(message, today=today):
        with contextlib.suppress(Refusal):
            resolution = routing.resolve(message, roll, at)
            if not routing.amiss(message, resolution, roll) and not _unlisted(message):
                return Examined(verified, resolution, routing.links(message, resolution, roll))

    def also(said: edxml.Message) -> tuple[Violation, ...]:
        return (*routing.wrong_with(said, roll, at), *_unlisted(said))

    raise Refusal(edxml.faults(received, shape, today=today, also=also))


def sealed_content(
    sealed: bytes,
    *,
    submitter: str,
    roll: registry.Registry,
    trust: seal.Trust,
    at: datetime,
    notary: str | None = None,
) -> str | None:
    """Return the digest of the content that its originator has sealed, whatever else is wrong with an envelope.

    Args: as for `examine`.

    Returns:
        None where no seal of the submitter's own holds.

    Raises:
        TransientError: Revocation could not be checked.
    """
    try:
        return _verified(sealed, submitter=submitter, roll=roll, trust=trust, at=at, notary=notary).digest
    except Refusal:
        return None


def _verified(
    sealed: bytes, *, submitter: str, roll: registry.Registry, trust: seal.Trust, at: datetime, notary: str | None
) -> seal.Verified:
    received = edxml.parse(sealed)
    _require_own_voice(received, submitter, roll)
    return seal.verify(received, trust, at=at, notary=notary)


def _unlisted(message: edxml.Message) -> tuple[Violation, ...]:
    """Return what is wrong with the contents as the manifest lists them."""
    return tuple(contents.check_manifest(message.attachments)) if isinstance(message, Document) else ()


def _require_own_voice(received: edxml.Received, submitter: str, roll: registry.Registry) -> None:
    """Refuse an envelope that another office's account hands in."""
    claimed = received.originator
    office = roll.find(claimed)
    if office is None:
        found = violation("KEY.UNKNOWN_SIGNER", claimed, path=_FROM, rule="route:originator-unknown")
    elif office.code != submitter:
        found = violation("MSG.WRONG_SENDER", f"{claimed} ≠ {submitter}", path=_FROM, rule="route:originator-other")
    else:
        return
    raise Refusal(edxml.with_lines([found], received))
