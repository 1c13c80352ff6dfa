"""Packing: a large message travels as gzip.

The sealed header of a circular names every addressee, and each of them gets all
of it: to 3,321 communes that is 0.9 MB for each, which is text that repeats
itself. What is sealed is not touched: packed is the message, not the envelope.

Spec: docs/protocol/broker.md 8; RFC 1952 (gzip); RFC 9110 8.4.1 (content codings); docs/adr/0028.
"""

import asyncio
import gzip
import zlib
from dataclasses import dataclass

GZIP = "gzip"  # The content-encoding of what is packed.
FROM_BYTES = 16 * 1024  # What is smaller travels as it is: an ordinary envelope has 4 KB.
_LEVEL = 4
_AS_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Packed:
    """The body of a message as it travels."""

    body: bytes
    encoding: str | None = None
    files: str = ""  # What the header says of files in it: see `carried`.


async def pack(body: bytes) -> Packed:
    """Return how a body travels; one that does not become smaller travels as it is."""
    if len(body) < FROM_BYTES:
        return Packed(body)
    packed = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    return Packed(packed, GZIP) if len(packed) < len(body) else Packed(body)


def unpack(body: bytes, encoding: str | None, most_bytes: int) -> bytes:
    """Return a body as it was before it was packed.

    Of one that has more than `most_bytes` only one byte more is unpacked: enough for whoever reads it to say that it is
    too large, however little of it has travelled.

    Raises:
        ValueError: It is not packed as it says.
    """
    if not encoding:
        return body
    if encoding != GZIP:
        raise ValueError(f"content-encoding {encoding[:20]!r}")
    unpacking = zlib.decompressobj(_AS_GZIP)
    try:
        plain = unpacking.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise ValueError("no gzip") from error
    if len(plain) <= most_bytes and (not unpacking.eof or unpacking.unused_data):
        raise ValueError("gzip that does not end where the message does")
    return plain
