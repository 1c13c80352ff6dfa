"""Reading: signed XML becomes a receipt that may be believed, or is refused.

The seal must be that of the office that the Statement names as its issuer, by
the key registered for it. The receipt is then read from the bytes that were
signed, after they passed the schema, and the office must be one that may say
such a thing.

Spec: schemas/receipt-1.xsd; docs/protocol/receipts.md.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from lxml import etree

from axis.edxml.gate import schema_violations
from axis.edxml.parse import load
from axis.errors import Refusal, Violation, refuse
from axis.receipts.form import in_form
from axis.receipts.issue import NAMESPACE, STATEMENT
from axis.receipts.model import MAX_RECEIPT_BYTES, SAID_BY, Level, Party, Receipt, SignedReceipt, Verdict
from axis.seal.profile import SIGNATURE
from axis.seal.trust import Trust
from axis.seal.verify import open_seal, signer_of

_NS = f"{{{NAMESPACE}}}"
_RECEIPT = f"{_NS}Receipt"
_SHAPE = [f"{_NS}Statement", SIGNATURE]
_SCHEMA = "receipt-1"
_ON_ITS_WAY = timedelta(days=30)  # For so long an office goes on bringing what the axis lacks; and the other way round.


def read_receipt(xml: bytes, trust: Trust, *, at: datetime, axis: str | None = None) -> SignedReceipt:
    """Check a receipt and read it.

    Args:
        xml: As it came.
        trust: Whose certificates are believed.
        at: When it was received; certificates are judged at that time. One that has ended since a receipt was said is
            believed about it, if that was lately.
        axis: OrganId of the axis. If given, only it may say what is the axis's to say; if not, a notary is nobody.

    Raises:
        Refusal: RCT.INVALID, SIG.* or KEY.*
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    return _as_formed(xml, trust, at, axis) or _as_it_is(xml, trust, at, axis)


def _as_formed(xml: bytes, trust: Trust, at: datetime, axis: str | None) -> SignedReceipt | None:
    """Read a receipt that stands as ours do; None where that does not hold: what is wrong is for the other way to say.

    Raises:
        Refusal: KEY.* or RCT.INVALID
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    formed = in_form(xml)
    if formed is None:
        return None
    receipt = formed.receipt
    signer = signer_of(receipt.issuer, formed.method, formed.signed_info, formed.value, trust)
    if signer is None:
        return None
    trust.require(signer, at=at, made_at=receipt.at if _is_late_enough(receipt.at, at) else None)
    _require_voice(receipt, axis)
    return SignedReceipt(receipt, xml, sha256(xml).hexdigest())


def _as_it_is(xml: bytes, trust: Trust, at: datetime, axis: str | None) -> SignedReceipt:
    root = _load(xml)
    statement = root.find(_SHAPE[0])
    claimed = ("" if statement is None else statement.findtext(f"{_NS}Issuer") or "").strip()
    said_at = _said_at(statement, at)
    opened = open_seal(root, root, {STATEMENT: statement}, claimed=claimed, trust=trust, at=at, made_at=said_at)
    if root.attrib or [child.tag for child in root] != _SHAPE:
        raise refuse("RCT.INVALID", "Receipt", path="/rct:Receipt")
    receipt = _read(opened.parts[STATEMENT])
    if receipt.issuer != claimed:
        raise refuse("KEY.WRONG_SIGNER", claimed)
    if said_at is not None and receipt.at != said_at:
        raise refuse("RCT.INVALID", "At")
    _require_voice(receipt, axis)
    return SignedReceipt(receipt, xml, sha256(xml).hexdigest())


def _said_at(statement: etree._Element | None, at: datetime) -> datetime | None:
    """Return when a receipt claims to have been said, if that can be: not in the future, and not long ago."""
    said = None if statement is None else statement.findtext(f"{_NS}At")
    with contextlib.suppress(ValueError, OverflowError):
        said_at = _moment((said or "").strip())
        if _is_late_enough(said_at, at):
            return said_at
    return None


def _is_late_enough(said_at: datetime, at: datetime) -> bool:
    return at - _ON_ITS_WAY <= said_at <= at


def is_receipt(xml: bytes) -> bool:
    """Whether a file calls itself a receipt, so that a person need not say it."""
    try:
        return bool(_load(xml).tag == _RECEIPT)
    except Refusal:
        return False


def _load(xml: bytes) -> etree._Element:
    try:
        root = load(xml, MAX_RECEIPT_BYTES)
    except Refusal as error:
        raise _invalid(error) from error
    if root.tag != _RECEIPT:
        raise refuse("RCT.INVALID", str(root.tag)[:120], line=1)
    return root


def _read(canonical: bytes) -> Receipt:
    """Read the signed Statement."""
    statement = etree.fromstring(canonical, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    found = schema_violations(statement, _SCHEMA)
    if found:
        raise _invalid(Refusal(found))
    texts = {_local(child): child.text or "" for child in statement}
    envelope = {_local(child): child.text or "" for child in statement.iterfind(f"{_NS}Envelope/*")}
    try:
        return Receipt(
            level=Level(texts["Level"]),
            issuer=texts["Issuer"],
            originator=envelope["Originator"],
            document_id=envelope["DocumentId"],
            envelope_id=envelope.get("EnvelopeId", ""),
            envelope_digest=envelope["Digest"],
            addressee=texts.get("Addressee"),
            previous=texts.get("Previous"),
            at=_moment(texts["At"]),
            status=texts["Status"],
            status_code=texts.get("StatusCode"),
            number=texts.get("Number"),
            reason=texts.get("Reason", ""),
            code=texts.get("Code"),
            violations=tuple(map(_violation, statement.iterfind(f"{_NS}Violations/*"))),
            addressees=tuple(
                Verdict(str(one.get("code")), str(one.get("verdict")), one.text or "", one.get("addressed", ""))
                for one in statement.iterfind(f"{_NS}Addressees/*")
            ),
            attempt=int(texts["Attempt"]) if "Attempt" in texts else None,
            next_at=_moment(texts["NextAt"]) if "NextAt" in texts else None,
            who_must_act=texts.get("WhoMustAct", ""),
        )
    except ValueError as error:
        raise refuse("RCT.INVALID", str(error)) from error


def _violation(element: etree._Element) -> Violation:
    line = element.get("line")
    return Violation(
        code=str(element.get("code")),
        line=None if line is None else int(line),
        path=str(element.get("path")),
        rule=str(element.get("rule")),
        vi=element.findtext(f"{_NS}Vi") or "",
        en=element.findtext(f"{_NS}En") or "",
        who_must_act=str(element.get("who")),
        next=element.findtext(f"{_NS}Next") or "",
    )


def _local(element: etree._Element) -> str:
    return str(element.tag)[len(_NS) :]


def _moment(text: str) -> datetime:
    """Read a time that the schema has found to be in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _require_voice(receipt: Receipt, axis: str | None) -> None:
    if receipt.party not in SAID_BY[receipt.level]:
        raise refuse("RCT.INVALID", f"{receipt.issuer} may not say “{receipt.level}”")
    is_anybody = axis is None and receipt.party is Party.AXIS
    if receipt.party is not Party.ADDRESSEE and not is_anybody and receipt.issuer != axis:
        raise refuse("RCT.INVALID", f"{receipt.issuer} is not the axis")


def _invalid(cause: Refusal) -> Refusal:
    """Say what is wrong with the XML of a receipt as RCT.INVALID: to its sender it is one kind of fault."""
    return Refusal(
        refuse(
            "RCT.INVALID", found.en, detail_vi=found.vi, line=found.line, path=found.path, rule=found.rule
        ).violations[0]
        for found in cause.violations
    )
