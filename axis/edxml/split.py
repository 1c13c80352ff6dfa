"""Splitting: inline attachments leave the envelope, byte for byte.

What an office sends may carry its files as base64 behind the envelope, in
`AttachmentEncoded`. The splitter reads such a stream once, writes each decoded
file to a sink as it comes, and hands back the envelope as if the element had
never been there: exactly the input without that byte range, because what was
signed is never written anew. Memory is bounded by the envelope's cap, not by
the files.

Spec: QCVN 102:2016 (AttachmentEncoded); docs/protocol/envelope.md.
"""

import binascii
import codecs
import errno
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import SEEK_END
from typing import IO, BinaryIO, Protocol, cast
from xml.parsers import expat

from axis.edxml import limits
from axis.edxml.parse import UTF_8, parse, too_large
from axis.edxml.values import EDXML, collapse
from axis.errors import Refusal, TransientError, refuse

_BLANKS = bytes.maketrans(b"", b"")
_WHITE = b" \t\r\n"
_SEPARATOR = "|"  # Between namespace and local name in what expat reports; no URI of ours holds it.
_ENCODED = f"{EDXML}{_SEPARATOR}AttachmentEncoded"
_ATTACHMENT = "Attachment"
_CONTENT = "ContentTransferEncoded"
_TEXTS = ("ContentId", "AttachmentName")
_TEXT_MOST = 2000
_FEED_BYTES = 256 * 1024
_END_TAG = re.compile(rb"</(?:[^<>:]+:)?AttachmentEncoded\s*>")
_NO_ZIP = "not a readable zip"
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # What edXML uses; the others unpack without a bound.
MOST_WHOLE_BYTES = (
    4 * 1024 * 1024
)  # Of a message that is refused and whose digest is told: as much as the broker carries.
_MAX_DIRECTORY_BYTES = 512 * 1024  # `zipfile` reads the whole directory into memory before it can be asked anything.


class Sink(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Inline:
    """One attachment that was inline; `sink` holds its bytes after base64, before any unzipping."""

    content_id: str  # Without "cid:".
    name: str
    sink: Sink


@dataclass(frozen=True, slots=True)
class Split:
    """An envelope and what it carried."""

    sealed: bytes
    attachments: tuple[Inline, ...]


@dataclass(slots=True)
class Beginning:
    """What has come of a message so far, for as long as it may be one without files inside."""

    octets: bytearray = field(default_factory=bytearray)
    is_over: bool = False  # It is longer; nothing of it is kept.

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self.is_over:
            self.octets += data
        if len(self.octets) > MOST_WHOLE_BYTES:
            self.is_over = True
            self.octets.clear()

    def refusal(self, found: Refusal) -> Refusal:
        """Say what the splitter found as `parse` says it of the whole message: an office hears one thing, whichever way it came.

        Args:
            found: What stopped the splitter, which reads with another parser and never sees the end.
        """
        if not self.is_over and len(self.octets) <= limits.MAX_ENVELOPE_BYTES:
            try:
                parse(bytes(self.octets))
            except Refusal as refusal:
                return refusal
        return found


class Base64:
    """Reads xs:base64Binary as it comes: blanks are allowed, anything else is not."""

    def __init__(self) -> None:
        self._carry = b""  # Characters that do not make a group of four yet.
        self._padded = False  # It has ended with `=`.

    def take(self, text: str) -> bytes:
        """Return what the next characters add.

        Raises:
            ValueError: It is no base64.
        """
        encoded = self._carry + text.encode("ascii").translate(_BLANKS, _WHITE)
        whole = len(encoded) - len(encoded) % 4
        self._carry = encoded[whole:]
        if encoded and self._padded:
            raise ValueError("more after the end")
        if not whole:
            return b""
        self._padded = encoded[whole - 1 : whole] == b"="
        return binascii.a2b_base64(encoded[:whole], strict_mode=True)

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return not self._carry


class Splitter:
    """Feed it the stream; close it; take the halves."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        # The encoding is given, not asked of the message: one that declares another is refused.
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = True
        self._parser.buffer_size = _FEED_BYTES
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.XmlDeclHandler = self._declaration
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._kept = bytearray()
        self._pending = b""  # Fed, not yet known to be kept or cut.
        self._pending_from = 0  # Byte index of its first byte.
        self._cut: list[tuple[int, int]] = []
        self._cut_from: int | None = None
        self._depth = 0
        self._field: str | None = None
        self._texts: dict[str, str] = {}
        self._sink: Sink | None = None
        self._base64 = Base64()
        self._written = 0
        self._total = 0
        self._siblings = 0  # Elements below the root so far.
        self._attached = False  # AttachmentEncoded has been met.
        self._found: list[Inline] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        for start in range(0, len(data), _FEED_BYTES):
            self._feed(data[start : start + _FEED_BYTES])

    def _feed(self, data: bytes) -> None:
        self._check_bytes(data)
        self._pending += data
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            raise _not_well_formed(error) from error
        self._settle()
        # Expat waits for the end of what it has begun to read: a tag or a comment may not last for ever.
        if len(self._pending) > limits.MAX_ENVELOPE_BYTES:
            raise self._too_large()

    def _check_bytes(self, data: bytes) -> None:
        """Refuse what is not UTF-8 in the words of `parse`; expat would only say that it is no XML."""
        try:
            self._utf8.decode(data, not data)
        except UnicodeDecodeError as error:
            read = data[: max(error.start - (len(error.object) - len(data)), 0)]
            raise refuse("ENV.ENCODING", "not UTF-8", line=self._line_after(read)) from error
        if b"\0" in data:
            raise refuse("ENV.ENCODING", "NUL", line=self._line_after(data[: data.index(b"\0")]))

    def _line_after(self, read: bytes) -> int:
        """Return the line on which we are when these bytes have been read too."""
        # Expat stands at the last event, which is where the pending bytes begin or before their first line break.
        return int(self._parser.CurrentLineNumber) + self._pending.count(b"\n") + read.count(b"\n")

    def close(self) -> Split:
        """Return the halves.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        self._check_bytes(b"")
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise _not_well_formed(error) from error
        self._settle()
        self._keep(self._pending)
        return Split(bytes(self._kept), tuple(self._found))

    def _settle(self) -> None:
        """Keep or drop of the pending bytes what is decided.

        Expat reports an element's start at its `<`, and its end at the `<` of its
        end tag, or behind `/>`; either way it has seen the whole tag.
        """
        while self._cut:
            first, last = self._cut[0]
            last -= self._pending_from
            end_tag = _END_TAG.match(self._pending, last)
            self._keep(self._pending[: first - self._pending_from])
            self._drop(last if end_tag is None else end_tag.end())
            del self._cut[0]
        if self._cut_from is not None:
            keep = self._cut_from - self._pending_from
            if keep > 0:
                self._keep(self._pending[:keep])
                self._drop(keep)
                self._cut_from = self._pending_from
            # Inside the cut: what expat has consumed is not needed again.
            consumed = self._parser.CurrentByteIndex - self._pending_from
            if consumed > 0:
                self._drop(consumed)
                self._cut_from = self._pending_from
            return
        consumed = self._parser.CurrentByteIndex - self._pending_from
        if consumed > 0:
            self._keep(self._pending[:consumed])
            self._drop(consumed)

    def _keep(self, data: bytes) -> None:
        if len(self._kept) + len(data) > limits.MAX_ENVELOPE_BYTES:
            raise self._too_large()
        self._kept += data

    def _too_large(self) -> Refusal:
        return too_large(limits.MAX_ENVELOPE_BYTES)

    def _drop(self, count: int) -> None:
        self._pending = self._pending[count:]
        self._pending_from += count

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in UTF_8:
            raise refuse("ENV.ENCODING", encoding[:40], line=1)

    def _doctype(self, *_: object) -> None:
        raise refuse("ENV.DTD", "DOCTYPE", line=self._parser.CurrentLineNumber)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > limits.MAX_DEPTH:
            raise refuse("ENV.TOO_COMPLEX", f"deeper than {limits.MAX_DEPTH}", line=self._parser.CurrentLineNumber)
        if self._depth == 2:
            self._child_of_root(name)
            return
        if self._cut_from is None:
            return
        local = name.rsplit(_SEPARATOR, 1)[-1]
        if self._depth == 3 and local == _ATTACHMENT:
            if len(self._found) >= limits.MAX_ATTACHMENTS:
                raise refuse("ATT.COUNT", f"> {limits.MAX_ATTACHMENTS}", line=self._parser.CurrentLineNumber)
            self._texts = {}
            self._sink = None
        elif self._depth == 4:
            self._field = local
            if local == _CONTENT:
                if self._sink is not None:
                    raise self._misshapen(f"{_CONTENT} occurs twice")
                self._sink = self._open_sink()
                self._base64 = Base64()
                self._written = 0
        elif self._depth > 4 and self._field == _CONTENT:
            raise self._misshapen(f"{_CONTENT} holds an element")

    def _child_of_root(self, name: str) -> None:
        """Begin the cut at AttachmentEncoded, the second and last child of the root.

        What stands elsewhere the schema would refuse; after the cut it could no longer see where it stood.
        """
        if self._attached:
            raise self._misshapen("nothing may follow AttachmentEncoded")
        self._siblings += 1
        if name == _ENCODED:
            if self._siblings == 1:
                raise self._misshapen("AttachmentEncoded follows edXMLEnvelope")
            self._attached = True
            self._cut_from = self._parser.CurrentByteIndex

    def _misshapen(self, why: str) -> Refusal:
        return refuse("ENV.SCHEMA", why, line=self._parser.CurrentLineNumber)

    def _end(self, name: str) -> None:
        if self._cut_from is not None:
            if self._depth == 4:
                if self._field == _CONTENT:
                    self._finish()
                self._field = None
            elif self._depth == 3:
                self._complete()
            elif self._depth == 2 and name == _ENCODED:
                self._cut.append((self._cut_from, self._parser.CurrentByteIndex))
                self._cut_from = None
        self._depth -= 1

    def _characters(self, text: str) -> None:
        if self._field is None:
            return
        if self._field == _CONTENT:
            self._decode(text)
        elif self._field in _TEXTS:
            grown = self._texts.get(self._field, "") + text
            if len(grown) > _TEXT_MOST:
                raise refuse("ENV.SCHEMA", f"{self._field} is too long", line=self._parser.CurrentLineNumber)
            self._texts[self._field] = grown

    def _decode(self, text: str) -> None:
        if self._sink is None:
            raise AssertionError("a sink is open while content is read")
        try:
            data = self._base64.take(text)
        except ValueError as error:
            raise self._bad_base64() from error
        self._written += len(data)
        self._total += len(data)
        if self._written > limits.MAX_ATTACHMENT_BYTES or self._total > limits.MAX_TOTAL_BYTES:
            raise refuse("ATT.SIZE", self._texts.get("AttachmentName", ""), line=self._parser.CurrentLineNumber)
        self._sink.write(data)

    def _finish(self) -> None:
        if not self._base64.is_whole:
            raise self._bad_base64()

    def _complete(self) -> None:
        if self._sink is None:
            raise refuse("ATT.MISSING", self._texts.get("AttachmentName", ""), line=self._parser.CurrentLineNumber)
        content_id = collapse(self._texts.get("ContentId")).removeprefix("cid:")
        self._found.append(Inline(content_id, collapse(self._texts.get("AttachmentName")), self._sink))

    def _bad_base64(self) -> Refusal:
        return refuse("ATT.ENCODING", self._texts.get("AttachmentName", "base64"), line=self._parser.CurrentLineNumber)


def unwrap(packed: BinaryIO) -> Iterator[bytes]:
    """Yield the one file inside an edXML single-entry zip.

    Args:
        packed: The decoded attachment, seekable.

    Raises:
        Refusal: ATT.ARCHIVE; it is not such a zip, or one made to harm.
        TransientError: SYS.SPOOL; it cannot be read just now.
    """
    packed.seek(0, SEEK_END)
    packed_bytes = packed.tell()
    try:
        with zipfile.ZipFile(cast("IO[bytes]", Sips(packed))) as archive:
            entries = archive.infolist()
            if len(entries) != 1 or entries[0].is_dir():
                raise refuse("ATT.ARCHIVE", f"{len(entries)} entries")
            entry = entries[0]
            if entry.flag_bits & 0x1:
                raise refuse("ATT.ARCHIVE", "encrypted")
            if entry.compress_type not in _ZIP_METHODS:
                raise refuse("ATT.ARCHIVE", "method")
            # The stated size is a claim; the file's is a fact.
            ratio = min(entry.compress_size, packed_bytes) * limits.MAX_ZIP_RATIO
            most = min(limits.MAX_ATTACHMENT_BYTES, max(ratio, limits.MAX_HARMLESS_BYTES))
            if entry.file_size > most:
                raise refuse("ATT.ARCHIVE", "ratio")
            yield from _entry(archive, entry, most)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise refuse("ATT.ARCHIVE", _NO_ZIP) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise TransientError("SYS.SPOOL") from error
        raise refuse("ATT.ARCHIVE", _NO_ZIP) from error


def is_no_zip(refusal: Refusal) -> bool:
    """Whether it was no zip to begin with: then it is simply another file than the one that was sealed."""
    return refusal.code == "ATT.ARCHIVE" and refusal.violations[0].en.endswith(_NO_ZIP)


class Sips:
    """A file that hands out little at a time, so that no directory of a zip can fill the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, count: int = -1) -> bytes:
        """Read as a file does.

        Raises:
            ValueError: It is more than a directory of one entry can need.
            TransientError: SYS.SPOOL
        """
        try:
            taken = self._file.read(min(count, _MAX_DIRECTORY_BYTES + 1) if count >= 0 else _MAX_DIRECTORY_BYTES + 1)
        except OSError as error:
            # `zipfile` would take it for an archive that is broken; a disk that cannot be read says nothing about it.
            raise TransientError("SYS.SPOOL") from error
        if len(taken) > _MAX_DIRECTORY_BYTES:
            raise ValueError("directory")
        return taken


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> Iterator[bytes]:
    """Yield an entry's bytes; its stated size is a claim, so what comes out is counted."""
    count = 0
    with archive.open(entry) as stream:
        while chunk := stream.read(_FEED_BYTES):
            count += len(chunk)
            if count > most:
                raise refuse("ATT.ARCHIVE", "ratio")
            yield chunk


def _not_well_formed(error: expat.ExpatError) -> Refusal:
    return refuse("ENV.NOT_WELL_FORMED", expat.errors.messages.get(error.code, "syntax"), line=error.lineno)
