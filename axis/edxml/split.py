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
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol
from xml.parsers import expat

from axis.edxml import limits
from axis.edxml.values import EDXML
from axis.errors import Refusal, refuse

_BLANKS = bytes.maketrans(b"", b"")
_WHITE = b" \t\r\n"
_SEPARATOR = "|"  # Between namespace and local name in what expat reports; no URI of ours holds it.
_ENCODED = f"{EDXML}{_SEPARATOR}AttachmentEncoded"
_ATTACHMENT = "Attachment"
_CONTENT = "ContentTransferEncoded"
_TEXTS = ("ContentId", "AttachmentName")
_TEXT_MOST = 2000
_FEED_BYTES = 256 * 1024


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


class Splitter:
    """Feed it the stream; close it; take the halves."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self._parser.buffer_text = True
        self._parser.buffer_size = _FEED_BYTES
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._kept = bytearray()
        self._pending = b""  # Fed, not yet known to be kept or cut.
        self._pending_from = 0  # Byte index of its first byte.
        self._cut: list[tuple[int, int]] = []
        self._cut_from: int | None = None
        self._depth = 0
        self._field: str | None = None
        self._texts: dict[str, str] = {}
        self._sink: Sink | None = None
        self._carry = b""  # Base64 characters that do not make a group of four yet.
        self._written = 0
        self._total = 0
        self._found: list[Inline] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        for start in range(0, len(data), _FEED_BYTES):
            self._feed(data[start : start + _FEED_BYTES])

    def _feed(self, data: bytes) -> None:
        self._pending += data
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            raise _not_well_formed(error) from error
        self._settle()

    def close(self) -> Split:
        """Return the halves.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise _not_well_formed(error) from error
        self._settle()
        self._keep(self._pending)
        return Split(bytes(self._kept), tuple(self._found))

    def _settle(self) -> None:
        """Keep or drop of the pending bytes what is decided.

        Expat reports an element's start at its `<` and an end at the `<` of its
        end tag, so the end of the cut is found by the next `>`.
        """
        while self._cut:
            first, end_tag = self._cut[0]
            close = self._pending.find(b">", end_tag - self._pending_from)
            if close < 0:
                return
            self._keep(self._pending[: first - self._pending_from])
            self._drop(close + 1)
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
            raise refuse("ENV.TOO_LARGE", f"> {limits.MAX_ENVELOPE_BYTES} bytes")
        self._kept += data

    def _drop(self, count: int) -> None:
        self._pending = self._pending[count:]
        self._pending_from += count

    def _doctype(self, *_: object) -> None:
        raise refuse("ENV.DTD", "DOCTYPE", line=self._parser.CurrentLineNumber)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > limits.MAX_DEPTH:
            raise refuse("ENV.TOO_COMPLEX", f"deeper than {limits.MAX_DEPTH}", line=self._parser.CurrentLineNumber)
        if self._depth == 2 and name == _ENCODED:
            if self._cut_from is not None or self._found:
                raise refuse("ENV.SCHEMA", "AttachmentEncoded occurs twice", line=self._parser.CurrentLineNumber)
            self._cut_from = self._parser.CurrentByteIndex
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
                self._sink = self._open_sink()
                self._carry = b""
                self._written = 0

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
        try:
            encoded = self._carry + text.encode("ascii").translate(_BLANKS, _WHITE)
        except UnicodeEncodeError as error:
            raise self._bad_base64() from error
        whole = len(encoded) - len(encoded) % 4
        self._carry = encoded[whole:]
        if whole:
            self._write(encoded[:whole])

    def _write(self, groups: bytes) -> None:
        if self._sink is None:
            raise AssertionError("a sink is open while content is read")
        try:
            data = binascii.a2b_base64(groups, strict_mode=True)
        except binascii.Error as error:
            raise self._bad_base64() from error
        self._written += len(data)
        self._total += len(data)
        if self._written > limits.MAX_ATTACHMENT_BYTES or self._total > limits.MAX_TOTAL_BYTES:
            raise refuse("ATT.SIZE", self._texts.get("AttachmentName", ""), line=self._parser.CurrentLineNumber)
        self._sink.write(data)

    def _finish(self) -> None:
        if self._carry:
            raise self._bad_base64()

    def _complete(self) -> None:
        if self._sink is None:
            raise refuse("ATT.MISSING", self._texts.get("AttachmentName", ""), line=self._parser.CurrentLineNumber)
        content_id = self._texts.get("ContentId", "").strip().removeprefix("cid:")
        self._found.append(Inline(content_id, self._texts.get("AttachmentName", "").strip(), self._sink))

    def _bad_base64(self) -> Refusal:
        return refuse("ATT.ENCODING", self._texts.get("AttachmentName", "base64"), line=self._parser.CurrentLineNumber)


def unwrap(packed: BinaryIO) -> Iterator[bytes]:
    """Yield the one file inside an edXML single-entry zip.

    Args:
        packed: The decoded attachment, seekable.

    Raises:
        Refusal: ATT.ARCHIVE; it is not such a zip, or one made to harm.
    """
    try:
        with zipfile.ZipFile(packed) as archive:
            entries = archive.infolist()
            if len(entries) != 1 or entries[0].is_dir():
                raise refuse("ATT.ARCHIVE", f"{len(entries)} entries")
            entry = entries[0]
            if entry.flag_bits & 0x1:
                raise refuse("ATT.ARCHIVE", "encrypted")
            most = min(limits.MAX_ATTACHMENT_BYTES, max(entry.compress_size, 1) * limits.MAX_ZIP_RATIO)
            if entry.file_size > most:
                raise refuse("ATT.ARCHIVE", "ratio")
            yield from _entry(archive, entry, most)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError, zipfile.LargeZipFile) as error:
        raise refuse("ATT.ARCHIVE", "not a readable zip") from error


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
