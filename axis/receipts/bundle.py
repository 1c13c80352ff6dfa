"""Bundle: several signed receipts in one message, byte for byte.

What is ready for one office at the same moment travels together: a message
costs the broker and both ends far more than the receipt in it. A bundle is a
row of netstrings, `LENGTH:BYTES,`, and nothing else; a receipt of its own is not
wrapped.

Spec: docs/protocol/broker.md (messages); D. J. Bernstein, "Netstrings".
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from axis.errors import refuse
from axis.receipts.model import MAX_RECEIPT_BYTES

RECEIPT, RECEIPTS = "receipt", "receipts"  # The type of a message: one, or a bundle.

MOST = 100  # Receipts of a bundle.
MOST_BYTES = 256 * 1024  # Of a bundle that holds more than one.
_LENGTH_DIGITS = len(str(MAX_RECEIPT_BYTES))

T = TypeVar("T")


def portions(items: Iterable[tuple[bytes, T]]) -> Iterator[list[tuple[bytes, T]]]:
    """Divide receipts, each with what belongs to it, into what may travel together; no portion is empty."""
    portion: list[tuple[bytes, T]] = []
    size_bytes = 0
    for xml, more in items:
        if portion and (len(portion) >= MOST or size_bytes + len(xml) > MOST_BYTES):
            yield portion
            portion, size_bytes = [], 0
        portion.append((xml, more))
        size_bytes += len(xml)
    if portion:
        yield portion


def pack(receipts: Sequence[bytes]) -> tuple[str, bytes]:
    """Return type and body of the message that carries these receipts; there is at least one."""
    if len(receipts) == 1:
        return RECEIPT, receipts[0]
    return RECEIPTS, b"".join(b"%d:%b," % (len(xml), xml) for xml in receipts)


def unpack(kind: str, body: bytes) -> list[bytes]:
    """Return the receipts of a message.

    Raises:
        Refusal: RCT.INVALID; it is no bundle, or a larger one than anybody makes: in a message of 4 KB, packed, a million
            receipts of nothing would fit.
    """
    if kind != RECEIPTS:
        return [body]
    found: list[bytes] = []
    at = 0
    while at < len(body):
        if len(found) >= MOST:
            raise refuse("RCT.INVALID", f"bundle: > {MOST}")
        colon = body.find(b":", at, at + _LENGTH_DIGITS + 1)
        digits = body[at:colon]
        end = colon + 1 + (int(digits) if colon > at and digits.isdigit() else len(body))
        if body[end : end + 1] != b",":
            raise refuse("RCT.INVALID", f"bundle, byte {at}")
        found.append(body[colon + 1 : end])
        at = end + 1
    if not found:
        raise refuse("RCT.INVALID", "empty bundle")
    if len(found) > 1 and sum(map(len, found)) > MOST_BYTES:
        raise refuse("RCT.INVALID", f"bundle: > {MOST_BYTES} bytes")
    return found
