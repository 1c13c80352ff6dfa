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
_FLAGS, _DEFLATE = 0x0808, 8  # Sizes follow; names are UTF-8.


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
        yield from Packed(ref).all(chunks)
        yield b"</edXML:ContentTransferEncoded></Attachment>"
    yield b"</AttachmentEncoded>"
    yield end[0]


class Base64:
    """Writes base64 as bytes come."""

    def __init__(self) -> None:
        self._carry = b""

    def add(self, data: bytes) -> bytes:
        """Return what can be written of all that has come."""
        data = self._carry + data
        whole = len(data) - len(data) % 3
        self._carry = data[whole:]
        return b64encode(data[:whole])

    def end(self) -> bytes:
        """Return the rest."""
        return b64encode(self._carry)


def _entry_name(ref: AttachmentRef) -> str:
    """Name an entry as the national SDK does, id and suffix; a ContentId is any text, and must not become a path."""
    suffix = ref.name.rsplit(".", 1)[-1] if "." in ref.name else ""
    return f"{_NO_NAME.sub('_', ref.content_id)[:80] or '_'}.{_NO_NAME.sub('_', suffix)[:20] or 'bin'}"


class Zip:
    """Writes a zip of one deflated entry as bytes come: sizes follow in a data descriptor.

    `zipfile` can do this only into a file object; the format of one entry is short (PKWARE APPNOTE 4.3).
    """

    def __init__(self, ref: AttachmentRef) -> None:
        self._ref = ref
        self._name = _entry_name(ref).encode()
        self._packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._crc = self._size = self._packed = 0

    def begin(self) -> bytes:
        """Return what stands before the file."""
        fixed = pack("<IHHHHHIIIHH", 0x04034B50, 45, _FLAGS, _DEFLATE, 0, 0x21, 0, 0, 0, len(self._name), 0)
        return fixed + self._name

    def add(self, data: bytes) -> bytes:
        """Return what can be written of all that has come."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return self._counted(self._packer.compress(data))

    def end(self) -> bytes:
        """Return the rest.

        Raises:
            Refusal: ATT.SIZE; it is too large for a zip of this form.
        """
        out = self._counted(self._packer.flush())
        crc, size, packed, name = self._crc, self._size, self._packed, self._name
        if max(size, packed) >= 0xFFFFFFFF:
            raise refuse("ATT.SIZE", self._ref.name)
        offset = 30 + len(name) + packed + 16
        times = (0, 0x21)
        return b"".join(
            (
                out,
                pack("<IIII", 0x08074B50, crc, packed, size),
                pack("<IHHHHHHIII", 0x02014B50, 45, 45, _FLAGS, _DEFLATE, *times, crc, packed, size),
                pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0),
                name,
                pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46 + len(name), offset, 0),
            )
        )

    def _counted(self, out: bytes) -> bytes:
        self._packed += len(out)
        return out


class Packed:
    """Writes a file as a message carries it: base64 of a zip of its own, or of the file itself."""

    def __init__(self, ref: AttachmentRef, *, zipped: bool = True) -> None:
        self._zip = Zip(ref) if zipped else None
        self._base64 = Base64()

    def begin(self) -> bytes:
        """Return what stands before the file."""
        return b"" if self._zip is None else self._base64.add(self._zip.begin())

    def add(self, data: bytes) -> bytes:
        """Return what can be written of all that has come."""
        return self._base64.add(data if self._zip is None else self._zip.add(data))

    def end(self) -> bytes:
        """Return the rest.

        Raises:
            Refusal: ATT.SIZE
        """
        return (b"" if self._zip is None else self._base64.add(self._zip.end())) + self._base64.end()

    def all(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a whole file."""
        yield self.begin()
        for chunk in chunks:
            yield self.add(chunk)
        yield self.end()
