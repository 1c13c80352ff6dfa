"""Inlining: files go back behind the envelope, for systems that know no other way.

The reverse of `split`: each file becomes a single-entry zip in base64, as the
national SDK writes it, in a stream that never holds a whole file.

Spec: QCVN 102:2016 (AttachmentEncoded).
"""

import re
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from struct import pack
from xml.sax.saxutils import escape

from axis.edxml.model import AttachmentRef
from axis.edxml.values import EDXML
from axis.errors import refuse

_END_TAG = re.compile(rb"</(?:[^<>:]+:)?edXML\s*>\s*\Z")
_NO_NAME = re.compile(r"[^0-9A-Za-z_-]")


def inline(sealed: bytes, files: Iterable[tuple[AttachmentRef, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield an envelope with its attachments inline.

    Args:
        sealed: The sealed envelope; its bytes are kept as they are.
        files: Each attachment with its content in chunks.

    Raises:
        Refusal: ENV.WRONG_ROOT; the envelope does not end where an envelope ends.
    """
    end = _END_TAG.search(sealed)
    if end is None:
        raise refuse("ENV.WRONG_ROOT", "end tag")
    yield sealed[: end.start()]
    yield f'<AttachmentEncoded xmlns="{EDXML}">'.encode()
    for ref, chunks in files:
        yield (
            f"<Attachment><ContentId>cid:{escape(ref.content_id)}</ContentId>"
            f"<AttachmentName>{escape(ref.name)}</AttachmentName><Description>{escape(ref.description)}</Description>"
            f'<ContentType>application/zip</ContentType><edXML:ContentTransferEncoded xmlns:edXML="{EDXML}">'
        ).encode()
        yield from _base64(_zip(ref, chunks))
        yield b"</edXML:ContentTransferEncoded></Attachment>"
    yield b"</AttachmentEncoded>"
    yield end[0]


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    carry = b""
    for chunk in chunks:
        data = carry + chunk
        whole = len(data) - len(data) % 3
        carry = data[whole:]
        yield b64encode(data[:whole])
    yield b64encode(carry)


def _entry_name(ref: AttachmentRef) -> str:
    """Name an entry as the national SDK does, id and suffix; a ContentId is any text, and must not become a path."""
    suffix = ref.name.rsplit(".", 1)[-1] if "." in ref.name else ""
    return f"{_NO_NAME.sub('_', ref.content_id)[:80] or '_'}.{_NO_NAME.sub('_', suffix)[:20] or 'bin'}"


def _zip(ref: AttachmentRef, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Write a zip of one deflated entry as a stream: sizes follow in a data descriptor.

    `zipfile` can do this only into a file object; the format of one entry is short (PKWARE APPNOTE 4.3).
    """
    name = _entry_name(ref).encode()
    flags, method = 0x0808, 8  # Sizes follow; names are UTF-8. Deflate.
    yield pack("<IHHHHHIIIHH", 0x04034B50, 45, flags, method, 0, 0x21, 0, 0, 0, len(name), 0) + name
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    crc = size = packed = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
        out = packer.compress(chunk)
        packed += len(out)
        yield out
    out = packer.flush()
    packed += len(out)
    yield out
    wide = max(size, packed) >= 0xFFFFFFFF
    if wide:
        raise refuse("ATT.SIZE", ref.name)
    yield pack("<IIII", 0x08074B50, crc, packed, size)
    offset = 30 + len(name) + packed + 16
    yield (
        pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50,
            45,
            45,
            flags,
            method,
            0,
            0x21,
            crc,
            packed,
            size,
            len(name),
            0,
            0,
            0,
            0,
            0,
            0,
        )
        + name
    )
    yield pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46 + len(name), offset, 0)
