"""MIME: a message whose files are parts beside it, as SOAP with Attachments has them.

The first part is the message, every other part one file of it, known by its
Content-ID. The bytes say their boundary themselves, in their first line, so that
they mean the same wherever they are read; what HTTP says of them must agree, or
two readers would see two messages. Headers are bounded, a file goes to its sink
as it comes, and nothing is guessed: what two readers may take for different
things is refused.

Spec: SOAP Messages with Attachments (W3C Note, 11 December 2000); RFC 2046 5.1,
RFC 2387, RFC 2392; docs/protocol/dialects.md 2, 4.
"""

import re
from collections.abc import Callable
from email.message import Message as Headers
from email.parser import BytesHeaderParser
from urllib.parse import unquote

from lxml import etree

from axis.edxml import limits
from axis.edxml.dialects.cut import MAX_JUNK_BYTES, Carried, Cut, XmlCutter, put_on_line
from axis.edxml.parse import UTF_8
from axis.edxml.split import Base64, Sink
from axis.edxml.values import q
from axis.errors import Refusal, refuse

RELATED = "multipart/related"

_MAX_HEADER_BYTES = 8 * 1024  # Of one part.
_MAX_LINE_BYTES = 200  # Of a boundary line: RFC 2046 allows 70 characters.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})
_XML_TYPES = frozenset({"text/xml", "application/xml"})
_ONCE = ("Content-ID", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition")


class Cutter:
    """Takes a message apart as it comes, one XML or the parts of MIME: feed it the bytes; close it; take the parts."""

    def __init__(self, open_sink: Callable[[], Sink], content_type: str = "") -> None:
        """Begin.

        Args:
            open_sink: Called for each file.
            content_type: What HTTP says of the bytes; "" where nobody says anything.
        """
        self._open_sink = open_sink
        self._content_type = content_type
        self._head = b""
        self._chosen: XmlCutter | MimeCutter | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        if self._chosen is None:
            self._head += data
            begins = self._head.lstrip(b"\r\n")
            if len(begins) < 2 and len(self._head) <= MAX_JUNK_BYTES:
                return
            is_mime = begins.startswith(b"--")
            self._chosen = MimeCutter(self._open_sink, self._content_type) if is_mime else XmlCutter(self._open_sink)
            data, self._head = self._head, b""
        self._chosen.feed(data)

    def close(self) -> Cut:
        """Return the parts.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        if self._chosen is None:
            self._chosen = XmlCutter(self._open_sink)
            self._chosen.feed(self._head)
        return self._chosen.close()


class MimeCutter:
    """The same for a message that is known to be in parts."""

    def __init__(self, open_sink: Callable[[], Sink], content_type: str = "") -> None:
        said = Headers()
        said["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
        self._said = said if said.get_content_type() == RELATED else Headers()
        self._open_sink = open_sink
        self._pending = bytearray()
        self._lines = 0  # Read, and done with.
        self._delimiter = b""
        self._step: Callable[[], bool] = self._begin  # Does what comes next; False: more bytes must come first.
        self._root: XmlCutter | None = None
        self._files: list[Carried] = []
        self._ids: set[str] = set()
        self._take: Callable[[bytes], object] = lambda _: None
        self._base64: Base64 | None = None
        self._size = self._total = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        self._pending += data
        while self._step():
            pass

    def close(self) -> Cut:
        """Return the parts.

        Raises:
            Refusal: ENV.* or ATT.*
        """
        if self._step != self._end or self._root is None:
            raise self._wrong("the last boundary is missing", "mime:end")
        cut = self._root.close()
        if len(cut.files) + len(self._files) > limits.MAX_ATTACHMENTS:
            raise refuse("ATT.COUNT", f"> {limits.MAX_ATTACHMENTS}")
        return Cut(cut.root, (*cut.files, *self._files), cut.tolerated, is_mime=True)

    # --- between the parts ------------------------------------------------------------------

    def _begin(self) -> bool:
        """Read the boundary off the first line."""
        while self._pending.startswith(b"\r\n"):
            self._drop(2)
        ends = self._pending.find(b"\r\n")
        line = bytes(self._pending[: ends if ends >= 0 else None]).rstrip(b" \t")
        if ends < 0 and len(line) <= _MAX_LINE_BYTES:
            return False
        boundary = line.removeprefix(b"--")
        if ends < 0 or _BOUNDARY.fullmatch(boundary) is None:
            raise self._wrong("the first line is no boundary", "mime:boundary")
        stated = self._said.get_boundary()
        if stated is not None and stated.encode("utf-8", "replace") != boundary:
            raise self._wrong("HTTP states another boundary", "mime:boundary")
        self._delimiter = b"\r\n--" + boundary
        self._drop(len(self._delimiter) - 2)
        self._step = self._between
        return True

    def _between(self) -> bool:
        """Look at what stands behind a boundary: the end of its line, or `--`."""
        if self._pending.startswith(b"--"):
            self._step = self._end
            return True
        ends = self._pending.find(b"\r\n")
        line = bytes(self._pending[: ends if ends >= 0 else None])
        if line.strip(b" \t\r") or len(line) > _MAX_LINE_BYTES:
            if line == b"-" and ends < 0:
                return False
            raise self._wrong("something follows a boundary on its line", "mime:boundary")
        if ends < 0:
            return False
        self._drop(ends + 2)
        self._step = self._head
        return True

    def _end(self) -> bool:
        """Leave what follows the last boundary; RFC 2046 5.1.1 has it ignored."""
        self._pending.clear()
        return False

    # --- a part -----------------------------------------------------------------------------

    def _head(self) -> bool:
        """Read the headers of a part, and decide where its bytes go."""
        ends = 0 if self._pending.startswith(b"\r\n") else self._pending.find(b"\r\n\r\n") + 2
        if ends == 1 and len(self._pending) <= _MAX_HEADER_BYTES:
            return False
        if ends == 1 or ends > _MAX_HEADER_BYTES:
            raise self._wrong(f"headers of more than {_MAX_HEADER_BYTES} bytes", "mime:header")
        headers = self._headers(bytes(self._pending[:ends]))
        self._drop(ends + 2)
        encoding = str(headers.get("Content-Transfer-Encoding", "")).strip().lower()
        if encoding not in _AS_IT_IS and encoding != "base64":
            raise self._wrong(f"Content-Transfer-Encoding: {encoding[:40]}", "mime:encoding")
        self._base64 = Base64() if encoding == "base64" else None
        if self._root is None:
            self._open_root(headers)
        else:
            self._open_file(headers)
        self._step = self._body
        return True

    def _headers(self, block: bytes) -> Headers:
        headers = BytesHeaderParser().parsebytes(block)
        if headers.defects or headers.get_payload() or b"\0" in block:
            raise self._wrong("headers that cannot be read", "mime:header")
        for name in _ONCE:
            if len(headers.get_all(name, ())) > 1:
                raise self._wrong(f"{name} occurs twice", "mime:header")
        return headers

    def _open_root(self, headers: Headers) -> None:
        if "Content-Type" in headers and headers.get_content_type() not in _XML_TYPES:
            raise self._wrong(f"the first part is {headers.get_content_type()[:80]}", "mime:root")
        charset = headers.get_param("charset", "utf-8")
        if str(charset).lower() not in UTF_8:
            raise refuse("ENV.ENCODING", str(charset)[:40], line=self._lines)
        start = self._said.get_param("start")
        if start is not None and _bare(str(start)) != _id_of(headers):
            raise self._wrong("HTTP states that another part is the message", "mime:root")
        self._root = XmlCutter(self._open_sink, lines_before=self._lines)
        self._take = self._root.feed

    def _open_file(self, headers: Headers) -> None:
        if len(self._files) >= limits.MAX_ATTACHMENTS:
            raise refuse("ATT.COUNT", f"> {limits.MAX_ATTACHMENTS}", line=self._lines)
        content_id = unquote(_id_of(headers))
        if content_id and content_id in self._ids:
            raise self._wrong(f"two parts are called {content_id[:80]}", "mime:content-id")
        self._ids.add(content_id)
        element = etree.Element(q("Attachment"))
        put_on_line(element, self._lines)
        for name, text in (("ContentId", content_id), ("AttachmentName", headers.get_filename() or "")):
            try:
                etree.SubElement(element, q(name)).text = text
            except ValueError as error:  # A character that XML has no way to write.
                raise self._wrong(f"{name}: a character", "mime:header") from error
        sink = self._open_sink()
        self._files.append(Carried(element, sink))
        self._take, self._size = sink.write, 0

    def _body(self) -> bool:
        """Hand on the bytes of a part, up to the boundary that ends it."""
        ends = self._pending.find(self._delimiter)
        sure = ends if ends >= 0 else len(self._pending) - len(self._delimiter)  # Behind it a boundary may begin.
        if sure > 0:
            self._hand_on(bytes(self._pending[:sure]))
            self._drop(sure)
        if ends < 0:
            return False
        if self._base64 is not None and not self._base64.is_whole:
            raise self._bad_base64()
        self._drop(len(self._delimiter))
        self._step = self._between
        return True

    def _hand_on(self, data: bytes) -> None:
        if self._base64 is not None:
            try:
                data = self._base64.take(data.decode("latin-1"))
            except ValueError as error:
                raise self._bad_base64() from error
        if self._files:
            self._size += len(data)
            self._total += len(data)
            if self._size > limits.MAX_ATTACHMENT_BYTES or self._total > limits.MAX_TOTAL_BYTES:
                raise refuse("ATT.SIZE", f"{len(self._files)}")
        self._take(data)

    def _drop(self, count: int) -> None:
        self._lines += self._pending.count(b"\n", 0, count)
        del self._pending[:count]

    def _bad_base64(self) -> Refusal:
        return refuse("ATT.ENCODING", f"base64 ({len(self._files)})", line=self._lines + 1)

    def _wrong(self, detail: str, rule: str) -> Refusal:
        return refuse("ENV.MIME", detail, line=self._lines + 1, rule=rule)


def _id_of(headers: Headers) -> str:
    return _bare(str(headers.get("Content-ID", "")))


def _bare(content_id: str) -> str:
    """Return an id without the angle brackets that a header has and a parameter may have."""
    bare = content_id.strip()
    return bare[1:-1].strip() if bare.startswith("<") and bare.endswith(">") else bare
