"""Multipart: a sealed envelope and its files as the parts of a form, each file as it is.

The part `envelope` holds the message; it may come at any place, and may itself
hold attachments. Every other part is a file: it is found in the manifest by the
name of its field, which is the content id, or else by its file name. Files go
to the spool as they come.

Spec: RFC 7578; docs/protocol/gateway.md 4.
"""

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from axis.edxml import Inline, Splitter, limits
from axis.edxml.split import Sink, Split
from axis.errors import refuse

KIND = "multipart/form-data"
ENVELOPE = "envelope"

_AS_IT_IS = (b"", b"binary", b"8bit", b"7bit")  # RFC 7578 §4.7: no other transfer encoding.


class NotAForm(Exception):
    """What came is no form, or not one that is read here."""


class Form:
    """Takes a form apart as it comes; who reads one says where the bytes of each part go."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind.lower() != KIND.encode() or not boundary:
            raise NotAForm("boundary")
        self._headers: dict[bytes, bytes] = {}
        self._header: tuple[bytes, bytes] = b"", b""
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._field,
                    "on_header_value": self._value,
                    "on_header_end": self._header_ended,
                    "on_headers_finished": self._named,
                    "on_part_data": lambda data, start, end: self._data(data[start:end]),
                    "on_end": self._end,
                },
            )
        except FormParserError as error:  # The boundary is too long.
            raise NotAForm("boundary") from error

    def write(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            NotAForm
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise NotAForm(str(error)[:120]) from error

    def require_end(self) -> None:
        """Make sure that all of it has come.

        Raises:
            NotAForm
        """
        if not self._ended:
            raise NotAForm("the last boundary is missing")

    def _open(self, field: str, file_name: str, headers: Mapping[bytes, bytes]) -> None:
        """Decide where the bytes of a part go."""
        raise NotImplementedError

    def _data(self, data: bytes) -> None:
        """Take bytes of the part that was opened last."""
        raise NotImplementedError

    def _begin(self) -> None:
        self._headers = {}

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header = self._header[0] + data[start:end], b""

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header = self._header[0], self._header[1] + data[start:end]

    def _header_ended(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = b"", b""

    def _named(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._open(_text(options.get(b"name", b"")), _text(options.get(b"filename", b"")), self._headers)

    def _end(self) -> None:
        self._ended = True


class Parts(Form):
    """Feed it the stream; close it; take the halves."""

    def __init__(self, content_type: str, open_sink: Callable[[], Sink], most_bytes: int) -> None:
        try:
            super().__init__(content_type)
        except NotAForm as error:
            raise _wrong(str(error)) from error
        self._open_sink = open_sink
        self._most_bytes = most_bytes
        self._envelope = Splitter(open_sink)
        self._has_envelope = False
        self._files: list[Inline] = []
        self._take: Callable[[bytes], object]
        self._size_bytes = self._total_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            Refusal: ENV.*, ATT.*, API.PARAMETER
        """
        try:
            self.write(data)
        except NotAForm as error:
            raise _wrong(str(error)) from error

    def close(self) -> Split:
        """Return the envelope, and what came inside it and beside it.

        Raises:
            Refusal: ENV.*, ATT.*, API.PARAMETER
        """
        try:
            self.require_end()
        except NotAForm as error:
            raise _wrong(str(error)) from error
        if not self._has_envelope:
            raise _wrong(f"no part “{ENVELOPE}”")
        split = self._envelope.close()
        return Split(split.sealed, (*split.attachments, *self._files))

    def _open(self, field: str, file_name: str, headers: Mapping[bytes, bytes]) -> None:
        if headers.get(b"content-transfer-encoding", b"").strip().lower() not in _AS_IT_IS:
            raise NotAForm("Content-Transfer-Encoding")
        self._size_bytes = 0
        if field == ENVELOPE:
            if self._has_envelope:
                raise NotAForm(f"“{ENVELOPE}” twice")
            self._has_envelope = True
            self._take = self._envelope.feed
            return
        if len(self._files) >= limits.MAX_ATTACHMENTS:
            raise refuse("ATT.COUNT", f"> {limits.MAX_ATTACHMENTS}")
        sink = self._open_sink()
        self._files.append(Inline(field.removeprefix("cid:"), unquote(file_name), sink))
        self._take = sink.write

    def _data(self, data: bytes) -> None:
        self._size_bytes += len(data)
        self._total_bytes += len(data)
        if self._size_bytes > self._most_bytes:
            raise refuse("ATT.SIZE", f"> {self._most_bytes} bytes")
        if self._total_bytes > limits.MAX_TOTAL_BYTES:
            raise refuse("ATT.SIZE", f"> {limits.MAX_TOTAL_BYTES} bytes")
        self._take(data)


def _text(raw: bytes) -> str:
    """Return a name as browsers and curl write it; RFC 7578 §5.1: UTF-8."""
    return raw.decode("utf-8", "replace")[: limits.MAX_NAME_CHARS * 3]


def _wrong(detail: str) -> Exception:
    return refuse("API.PARAMETER", f"{KIND}: {detail}")
