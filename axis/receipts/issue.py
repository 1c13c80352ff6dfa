"""Issuing: a receipt becomes signed XML.

The Statement is written in its canonical form from the start, so what is
hashed is what stands in the file; there is no tree to build and to copy. The
Signature is the closed profile of the seal, with the one reference #statement.
Tests hold the result against lxml's c14n, signxml and xmlsec1.

Spec: schemas/receipt-1.xsd; Exclusive XML Canonicalization 1.0;
docs/protocol/receipts.md.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

from axis.edxml.characters import in_attribute, in_text
from axis.errors import Violation
from axis.receipts.model import Receipt, SignedReceipt
from axis.seal.sign import SigningKey, signature

NAMESPACE = "urn:axis:receipt:1"
STATEMENT = "statement"  # The Id that the seal refers to.

OPEN = f'<?xml version="1.0" encoding="UTF-8"?>\n<Receipt xmlns="{NAMESPACE}"><Statement Id="{STATEMENT}">'
CLOSE = "</Receipt>\n"
_OPEN_CANONICAL = f'<Statement xmlns="{NAMESPACE}" Id="{STATEMENT}">'


def issue(receipt: Receipt, signer: SigningKey) -> SignedReceipt:
    """Sign a receipt with the key of its issuer."""
    body = written(receipt)
    xml = b"".join(((OPEN + body).encode(), signature([(STATEMENT, digest_of(body))], signer), CLOSE.encode()))
    return SignedReceipt(receipt, xml, sha256(xml).hexdigest())


def written(receipt: Receipt) -> str:
    """Write the Statement behind its start tag, as it stands in the file and in its canonical form."""
    return f"{''.join(_said(receipt))}</Statement>"


def digest_of(body: str) -> bytes:
    """Return the SHA-256 of the canonical form of a Statement, of what `written` returned."""
    return sha256((_OPEN_CANONICAL + body).encode()).digest()


def _said(receipt: Receipt) -> Iterator[str]:
    """Write the content of the Statement, in the order of the schema.

    It is written to be signed, and again each time that it is read: nobody looks here for what a `Receipt` cannot hold, in a
    digest, a status, a code.
    """
    yield f"<Level>{receipt.level.value}</Level>"
    yield _element("Issuer", receipt.issuer)
    yield f"<At>{_moment(receipt.at)}</At><Envelope>"
    yield _element("Originator", receipt.originator)
    yield _element("DocumentId", receipt.document_id)
    if receipt.envelope_id:
        yield _element("EnvelopeId", receipt.envelope_id)
    yield f"<Digest>{receipt.envelope_digest}</Digest></Envelope>"
    if receipt.addressee is not None:
        yield _element("Addressee", receipt.addressee)
    if receipt.previous is not None:
        yield f"<Previous>{receipt.previous}</Previous>"
    yield f"<Status>{receipt.status}</Status>"
    if receipt.status_code is not None:
        yield f"<StatusCode>{receipt.status_code}</StatusCode>"
    if receipt.number is not None:
        yield _element("Number", receipt.number)
    if receipt.code is not None:
        yield f"<Code>{receipt.code}</Code>"
    if receipt.reason:
        yield _element("Reason", receipt.reason)
    if receipt.who_must_act:
        yield _element("WhoMustAct", receipt.who_must_act)
    if receipt.attempt is not None:
        yield f"<Attempt>{receipt.attempt}</Attempt>"
    if receipt.next_at is not None:
        yield f"<NextAt>{_moment(receipt.next_at)}</NextAt>"
    if receipt.addressees:
        yield "<Addressees>"
        for one in receipt.addressees:
            more = {"addressed": one.addressed} if one.addressed else {}
            attributes = {"code": one.code, "verdict": one.verdict, **more}
            yield f"{_start('Addressee', attributes)}{in_text(one.reason)}</Addressee>"
        yield "</Addressees>"
    if receipt.violations:
        yield "<Violations>"
        for found in receipt.violations:
            yield from _violation(found)
        yield "</Violations>"


def _violation(found: Violation) -> Iterator[str]:
    attributes = {"code": found.code, "path": found.path, "rule": found.rule, "who": found.who_must_act}
    if found.line is not None:
        attributes["line"] = str(found.line)
    yield _start("Violation", attributes)
    yield _element("Vi", found.vi)
    yield _element("En", found.en)
    yield _element("Next", found.next)
    yield "</Violation>"


def _element(name: str, text: str) -> str:
    return f"<{name}>{in_text(text)}</{name}>"


def _start(name: str, attributes: dict[str, str]) -> str:
    # Canonical XML 1.0 §2.2: attributes without a namespace stand in the order of their names.
    written = "".join(f' {key}="{in_attribute(attributes[key])}"' for key in sorted(attributes))
    return f"<{name}{written}>"


def _moment(at: datetime) -> str:
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
