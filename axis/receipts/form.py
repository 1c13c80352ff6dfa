"""Form: a receipt that stands, byte for byte, as `issue` writes it.

Nearly all do that the axis and its SDK have written, and each is read several
times on its way. Of such a one the canonical form is at hand, and neither a tree
nor a schema has more to say about it: a pattern takes out what it says, and
writing that again must give the same bytes. Whatever stands otherwise is left to
`read`.

Spec: schemas/receipt-1.xsd; docs/protocol/receipts.md.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from axis.edxml import limits
from axis.receipts.issue import CLOSE, OPEN, STATEMENT, digest_of, written
from axis.receipts.model import MAX_RECEIPT_BYTES, Level, Receipt, Verdict
from axis.seal.profile import Method, as_written


@dataclass(frozen=True, slots=True)
class Formed:
    """What a receipt says, and the seal on exactly that; whose it is nobody has looked at yet."""

    receipt: Receipt
    method: Method
    signed_info: bytes  # Canonical, with the digest of what it says.
    value: bytes


def _element(name: str, content: str) -> str:
    return f"<{name}>({content})</{name}>"


def _optional(name: str, content: str) -> str:
    return f"(?:{_element(name, content)})?"


# As the schema has them; what would be written as a reference, and what XML cannot carry, is left to others.
_CHAR = r"[^<>&\x00-\x08\x0b-\x1f\ufffe\uffff]"
_OFFICE, _LINE, _REASON = f"{_CHAR}{{1,100}}", f"{_CHAR}{{0,400}}", f"{_CHAR}{{1,1000}}"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
_DIGEST, _STATUS, _STATUS_CODE, _COUNT = "[0-9a-f]{64}", r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", "[0-9]{2}", "[0-9]{1,9}"
_CODE = r"(?=[^<]{1,60}<)[A-Z]+(?:\.[A-Z0-9_]+)+"
_WHO = rf'(?:(?!["\t\n]){_CHAR}){{1,100}}'
_VERDICT = re.compile(f'<Addressee code="({_WHO})" verdict="(served|refused)">({_LINE})</Addressee>')
_VERDICTS = f'(?:<Addressee code="{_WHO}" verdict="(?:served|refused)">{_LINE}</Addressee>)+'
_SAID = "".join(
    (
        _element("Level", "[a-z]+"),
        _element("Issuer", _OFFICE),
        _element("At", _MOMENT),
        "<Envelope>",
        _element("Originator", _OFFICE),
        _element("DocumentId", _LINE),
        _optional("EnvelopeId", _OFFICE),
        _element("Digest", _DIGEST),
        "</Envelope>",
        _optional("Addressee", _OFFICE),
        _optional("Previous", _DIGEST),
        _element("Status", _STATUS),
        _optional("StatusCode", _STATUS_CODE),
        _optional("Number", _LINE),
        _optional("Code", _CODE),
        _optional("Reason", _REASON),
        _optional("WhoMustAct", _OFFICE),
        _optional("Attempt", _COUNT),
        _optional("NextAt", _MOMENT),
        f"(?:<Addressees>({_VERDICTS})</Addressees>)?",
    )
)
_SIGNATURE = "(<ds:Signature .+</ds:Signature>)"
_FORM = re.compile(f"{re.escape(OPEN)}({_SAID}</Statement>){_SIGNATURE}{re.escape(CLOSE)}")


def in_form(xml: bytes) -> Formed | None:
    """Take a receipt of the usual form apart; None if it is not exactly that, whatever else it may be."""
    if len(xml) > MAX_RECEIPT_BYTES or xml.count(b"<") > limits.MAX_ELEMENTS:
        return None
    try:
        found = _FORM.fullmatch(xml.decode())
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    body, *said, signature = found.groups()
    sealed = as_written(signature, [(STATEMENT, digest_of(body))])
    if sealed is None:
        return None
    try:
        receipt = _receipt(said)
    except ValueError:
        return None
    is_it = written(receipt) == body and receipt.issuer == receipt.issuer.strip()
    return Formed(receipt, *sealed) if is_it else None


def _receipt(said: list[str | None]) -> Receipt:
    """Build what is said from the groups of the pattern.

    Raises:
        ValueError: It contradicts itself.
    """
    (level, issuer, at, originator, document_id, envelope_id, digest, addressee, previous, status, status_code,
     number, code, reason, who_must_act, attempt, next_at, verdicts) = said  # fmt: skip
    return Receipt(
        level=Level(str(level)),
        issuer=str(issuer),
        originator=str(originator),
        document_id=str(document_id),
        envelope_id=envelope_id or "",
        envelope_digest=str(digest),
        addressee=addressee,
        previous=previous,
        at=datetime.fromisoformat(str(at)),
        status=str(status),
        status_code=status_code,
        number=number,
        reason=reason or "",
        code=code,
        addressees=tuple(Verdict(*one) for one in _VERDICT.findall(verdicts or "")),
        attempt=None if attempt is None else int(attempt),
        next_at=None if next_at is None else datetime.fromisoformat(next_at),
        who_must_act=who_must_act or "",
    )
