"""Cutting: a message of whatever dialect becomes a small tree and the files that it carried.

The bytes are read once. The text of each file goes to a sink as it comes, all
else into a tree whose elements know their line, under the caps of an envelope:
memory is bounded by them, not by the files. What is cut here was signed by
nobody in a way that counts, so that the tree may be written anew.

Spec: docs/protocol/dialects.md 2; limits in `axis.edxml.limits`.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from lxml import etree

from axis.edxml import limits
from axis.edxml.dialects.quirks import Quirk, Tolerated
from axis.edxml.parse import UTF_8
from axis.edxml.split import Base64, Sink
from axis.errors import Refusal, refuse

MAX_JUNK_BYTES = 64  # Before the XML: what a careless writer leaves there, not another file.

_SEPARATOR = "|"  # Between namespace and local name in what expat reports; no URI of ours holds it.
_BOM = b"\xef\xbb\xbf"
_HOLDER = "attachment"
_CONTENTS = frozenset({"contenttransferencoded", "content", "value"})  # Of an Attachment: the file, in base64.
_FEED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Carried:
    """One file that a message carried."""

    element: etree._Element  # What says its name and kind; in the tree, or made of the headers of a part.
    sink: Sink  # Its bytes after base64, before any unzipping.


@dataclass(frozen=True, slots=True)
class Cut:
    """A message without its files, and the files."""

    root: etree._Element
    files: tuple[Carried, ...]
    tolerated: tuple[Tolerated, ...]
    is_mime: bool = False  # The files came as parts beside it.


class XmlCutter:
    """Feed it the bytes of one XML; close it; take the parts."""

    def __init__(self, open_sink: Callable[[], Sink], *, lines_before: int = 0) -> None:
        self._open_sink = open_sink
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = True
        self._parser.buffer_size = _FEED_BYTES
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.XmlDeclHandler = self._declaration
        self._parser.CommentHandler = self._beside
        self._parser.ProcessingInstructionHandler = self._beside
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._builder = etree.TreeBuilder()
        self._head: bytearray | None = bytearray()  # Until the first `<`.
        self._path: list[tuple[etree._Element, str]] = []  # Open elements, with their folded names.
        self._elements = 0
        self._lines_before = lines_before  # Which the parser does not see: of MIME, and in the junk.
        self._fed = 0
        self._encoded = 0  # Of what was fed: base64.
        self._total = 0
        self._written = 0
        self._sink: Sink | None = None
        self._base64 = Base64()
        self._files: list[Carried] = []
        self._tolerated: list[Tolerated] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        for start in range(0, len(data), _FEED_BYTES):
            self._feed(data[start : start + _FEED_BYTES])

    def _feed(self, data: bytes) -> None:
        if self._head is not None:
            data = self._after_junk(data)
        self._fed += len(data)
        self._parse(data, is_last=False)
        # Also of what expat has begun to read and waits for the end of: a tag may not last for ever.
        if self._fed - self._encoded > limits.MAX_ENVELOPE_BYTES + _FEED_BYTES:
            raise self._too_large()

    def close(self) -> Cut:
        """Return the parts.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        if self._head is not None:
            raise refuse("ENV.NOT_WELL_FORMED", "no element found")
        self._parse(b"", is_last=True)
        if self._fed - self._encoded > limits.MAX_ENVELOPE_BYTES:
            raise self._too_large()
        return Cut(self._builder.close(), tuple(self._files), tuple(self._tolerated))

    def _after_junk(self, data: bytes) -> bytes:
        """Return what comes from the first `<` on; before it there may be a little of anything."""
        head = self._head = (self._head or bytearray()) + data
        begins = head.find(b"<")
        if begins > MAX_JUNK_BYTES or (begins < 0 and len(head) > MAX_JUNK_BYTES):
            raise refuse("ENV.NOT_WELL_FORMED", f"more than {MAX_JUNK_BYTES} bytes before the XML", line=1)
        if begins < 0:
            return b""
        junk, rest = bytes(head[:begins]), bytes(head[begins:])
        self._head = None
        self._lines_before += junk.count(b"\n")
        if junk.startswith(_BOM):
            junk = junk.removeprefix(_BOM)
            self._tolerated.append(Tolerated(Quirk.BOM, line=1))
        if junk.strip():
            self._tolerated.append(Tolerated(Quirk.JUNK, repr(junk)[1:][:40], line=1))
        return rest

    def _parse(self, data: bytes, *, is_last: bool) -> None:
        try:
            self._utf8.decode(data, is_last)
        except UnicodeDecodeError as error:
            raise refuse("ENV.ENCODING", "not UTF-8", line=self._line) from error
        try:
            self._parser.Parse(data, is_last)
        except expat.ExpatError as error:
            words = expat.errors.messages.get(error.code, "syntax")
            raise refuse("ENV.NOT_WELL_FORMED", words, line=error.lineno + self._lines_before) from error

    @property
    def _line(self) -> int:
        return int(self._parser.CurrentLineNumber) + self._lines_before

    def _too_large(self) -> Refusal:
        return refuse("ENV.TOO_LARGE", f"> {limits.MAX_ENVELOPE_BYTES} bytes", line=self._line)

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in UTF_8:
            raise refuse("ENV.ENCODING", encoding[:40], line=1)

    def _doctype(self, *_: object) -> None:
        raise refuse("ENV.DTD", "DOCTYPE", line=self._line)

    def _beside(self, *_: object) -> None:
        if not any(one.quirk is Quirk.COMMENT for one in self._tolerated):
            self._tolerated.append(Tolerated(Quirk.COMMENT, line=self._line))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > limits.MAX_ELEMENTS:
            raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_ELEMENTS} elements", line=self._line)
        if len(self._path) >= limits.MAX_DEPTH:
            raise refuse("ENV.TOO_COMPLEX", f"deeper than {limits.MAX_DEPTH}", line=self._line)
        if len(attributes) > limits.MAX_ATTRIBUTES:
            raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_ATTRIBUTES} attributes", line=self._line)
        if self._sink is not None:
            raise refuse("ENV.SCHEMA", "a file holds an element", line=self._line)
        folded = name.rsplit(_SEPARATOR, 1)[-1].casefold()
        said = {_clark(key): value for key, value in attributes.items()}
        try:
            element: etree._Element = self._builder.start(_clark(name), said)  # type: ignore[func-returns-value,assignment]
        except ValueError as error:  # A namespace that is no URI: expat does not ask.
            raise refuse("ENV.NOT_WELL_FORMED", "a name or a namespace", line=self._line) from error
        put_on_line(element, self._line)
        if folded in _CONTENTS and self._path and self._path[-1][1] == _HOLDER:
            self._open(self._path[-1][0])
        self._path.append((element, folded))

    def _open(self, holder: etree._Element) -> None:
        if len(self._files) >= limits.MAX_ATTACHMENTS:
            raise refuse("ATT.COUNT", f"> {limits.MAX_ATTACHMENTS}", line=self._line)
        if self._files and self._files[-1].element is holder:
            raise refuse("ENV.SCHEMA", "an Attachment holds two files", line=self._line)
        self._sink = self._open_sink()
        self._base64, self._written = Base64(), 0
        self._files.append(Carried(holder, self._sink))

    def _end(self, name: str) -> None:
        if self._sink is not None:
            if not self._base64.is_whole:
                raise self._bad_base64()
            self._sink = None
        self._path.pop()
        self._builder.end(_clark(name))

    def _characters(self, text: str) -> None:
        if self._sink is None:
            self._builder.data(text)
            return
        self._encoded += len(text)
        try:
            data = self._base64.take(text)
        except ValueError as error:
            raise self._bad_base64() from error
        self._written += len(data)
        self._total += len(data)
        if self._written > limits.MAX_ATTACHMENT_BYTES or self._total > limits.MAX_TOTAL_BYTES:
            raise refuse("ATT.SIZE", f"{len(self._files)}", line=self._line)
        self._sink.write(data)

    def _bad_base64(self) -> Refusal:
        return refuse("ATT.ENCODING", f"base64 ({len(self._files)})", line=self._line)


def put_on_line(element: etree._Element, line: int | None) -> None:
    """Say on which line of the file an element stands."""
    if line is not None:
        element.sourceline = line  # type: ignore[misc]  # lxml lets it be set; its types do not say so.


def _clark(name: str) -> str:
    namespace, found, local = name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}" if found else local
