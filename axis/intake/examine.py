"""Examination: everything about an envelope that can be judged without asking anybody.

Order matters: whose connection it came over, then the XML, then the seal, and
only then the schema and the rules, so that libxml2's schema code never sees
what no registered office has signed.

Spec: docs/protocol/intake.md; QCVN 102:2016; Decree 30/2020/NĐ-CP.
"""

from dataclasses import dataclass
from datetime import datetime

from axis import contents, edxml, registry, routing, seal
from axis.edxml import AttachmentRef, Document, values
from axis.errors import Refusal, refuse


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
        Refusal: With every violation of the first stage that found any.
        TransientError: Revocation could not be checked.
    """
    received = edxml.parse(sealed)
    _require_own_voice(received.originator, submitter, roll)
    verified = seal.verify(received, trust, at=at, notary=notary)
    edxml.gate(received)
    resolution = routing.resolve(verified.message, roll, at)
    message = verified.message
    violations = [*edxml.check(message, today=values.local_date(at)), *routing.unreached(message, resolution, roll)]
    if isinstance(message, Document):
        violations += contents.check_manifest(message.attachments)
    if not any(route.served for route in resolution.routes):
        violations += [route.violation for route in resolution.routes if route.violation is not None]
    if violations:
        raise Refusal(violations)
    return Examined(verified, resolution, routing.links(message, resolution, roll))


def _require_own_voice(claimed: str, submitter: str, roll: registry.Registry) -> None:
    """Refuse an envelope that another office's account hands in."""
    office = roll.find(claimed)
    if office is None:
        raise refuse("KEY.UNKNOWN_SIGNER", claimed)
    if office.code != submitter:
        raise refuse("MSG.WRONG_SENDER", f"{claimed} ≠ {submitter}")
