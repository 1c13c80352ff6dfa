"""Splitting: what was sealed stays byte for byte, whatever the pieces in which the stream comes."""

import base64
import io
import zipfile

import pytest

from axis.edxml import Splitter, limits
from axis.edxml.split import Split, unwrap
from axis.errors import Refusal, TransientError
from tests.province import DOCUMENT, INLINE

WHOLE = DOCUMENT.replace("</edXML>\n", f"{INLINE}</edXML>\n").encode()
_OPEN, _CLOSE = "<AttachmentEncoded>", "</AttachmentEncoded>"


def _split(message: bytes, piece: int = 1 << 20) -> tuple[Split, list[bytes]]:
    """Return the halves, with the files' bytes."""
    sinks: list[io.BytesIO] = []

    def open_sink() -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    splitter = Splitter(open_sink)
    for start in range(0, len(message), piece):
        splitter.feed(message[start : start + piece])
    return splitter.close(), [sink.getvalue() for sink in sinks]


def _with(inline: str) -> bytes:
    return DOCUMENT.replace("</edXML>\n", f"{inline}</edXML>\n").encode()


def _attachment(content: str, content_id: str = "cid:a1", name: str = "125.pdf") -> str:
    return (
        f"<Attachment><ContentId>{content_id}</ContentId><AttachmentName>{name}</AttachmentName>"
        f"<ContentTransferEncoded>{content}</ContentTransferEncoded></Attachment>"
    )


def _code_of(message: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        _split(message)
    return caught.value.code


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 1000, 100_000])
def test_envelope_is_the_input_without_that_element(piece: int) -> None:
    split, files = _split(WHOLE, piece)
    assert split.sealed == DOCUMENT.encode()
    assert files == [b"abc"]
    assert (split.attachments[0].content_id, split.attachments[0].name) == ("a1", "125.pdf")


def test_message_without_files_is_not_touched() -> None:
    split, files = _split(DOCUMENT.encode())
    assert (split.sealed, split.attachments, files) == (DOCUMENT.encode(), (), [])


@pytest.mark.parametrize(
    "inline", ["<AttachmentEncoded/>", "<AttachmentEncoded />", "<AttachmentEncoded></AttachmentEncoded >"]
)
def test_empty_element_is_cut_too(inline: str) -> None:
    assert _split(_with(inline))[0].sealed == DOCUMENT.encode()


def test_base64_may_be_broken_into_lines() -> None:
    content = bytes(range(256)) * 40
    encoded = base64.encodebytes(content).decode()
    assert _split(_with(f"{_OPEN}{_attachment(encoded)}{_CLOSE}"), 50)[1] == [content]


def test_several_files_keep_their_order() -> None:
    inline = "".join(_attachment(base64.b64encode(f"{n}".encode()).decode(), f"cid:{n}") for n in range(5))
    split, files = _split(_with(f"{_OPEN}{inline}{_CLOSE}"), 13)
    assert [one.content_id for one in split.attachments] == ["0", "1", "2", "3", "4"]
    assert files == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("content", ["YWJ", "YWJj=", "YQ==YQ==", "Y!Jj", "ả", "=", "YWJj&#0;"])
def test_what_is_no_base64_is_refused(content: str) -> None:
    assert _code_of(_with(f"{_OPEN}{_attachment(content)}{_CLOSE}")) in ("ATT.ENCODING", "ENV.NOT_WELL_FORMED")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (_with(f"{_OPEN}<Attachment><ContentId>cid:a</ContentId></Attachment>{_CLOSE}"), "ATT.MISSING"),
        (_with(f"{_OPEN}{_attachment('YWJj')}{_CLOSE}{_OPEN}{_CLOSE}"), "ENV.SCHEMA"),
        (_with(f"{_OPEN}{_CLOSE}<x/>"), "ENV.SCHEMA"),
        (_with(f"{_OPEN}{_attachment('<x/>')}{_CLOSE}"), "ENV.SCHEMA"),
        (_with(f"{_OPEN}{_attachment('YWJj') * (limits.MAX_ATTACHMENTS + 1)}{_CLOSE}"), "ATT.COUNT"),
        (b"<!DOCTYPE x>" + DOCUMENT.encode().split(b"\n", 1)[1], "ENV.DTD"),
        (WHOLE.replace(b"UTF-8", b"Latin1"), "ENV.ENCODING"),
        (WHOLE.replace(b"YWJj", b"YW\xffj"), "ENV.ENCODING"),
        (WHOLE[:-20], "ENV.NOT_WELL_FORMED"),
        (b"<" + b"x" * (limits.MAX_ENVELOPE_BYTES + 10), "ENV.TOO_LARGE"),
        (DOCUMENT.encode() + b" " * limits.MAX_ENVELOPE_BYTES, "ENV.TOO_LARGE"),
        (b"<x>" * 50, "ENV.TOO_COMPLEX"),
    ],
)
def test_misshapen_stream_gets_its_code(message: bytes, code: str) -> None:
    assert _code_of(message) == code


def test_memory_is_bounded_by_the_envelope_not_by_the_files() -> None:
    class Counting:
        most = total = 0

        def write(self, data: bytes, /) -> None:
            self.most = max(self.most, len(data))
            self.total += len(data)

    sink = Counting()
    splitter = Splitter(lambda: sink)
    head, tail = _with(f"{_OPEN}{_attachment('@')}{_CLOSE}").split(b"@")
    splitter.feed(head)
    for _ in range(200):
        splitter.feed(b"YWJj" * 65_536)
        assert len(splitter._pending) < 1_000_000
        assert len(splitter._kept) < len(DOCUMENT.encode()) + 10
    splitter.feed(tail)
    assert splitter.close().sealed == DOCUMENT.encode()
    assert sink.total == 200 * 65_536 * 3
    assert sink.most < 1_000_000


# --- zips -----------------------------------------------------------------------------


def _zip(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return packed


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_zip_with_one_entry_is_unwrapped(method: int) -> None:
    assert b"".join(unwrap(_zip(("a.pdf", b"abc" * 1000), method=method))) == b"abc" * 1000


def _encrypted() -> io.BytesIO:
    packed = bytearray(_zip(("a.pdf", b"abc")).getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(mark) + offset] |= 1
    return io.BytesIO(bytes(packed))


def _liar() -> io.BytesIO:
    """A zip whose directory states less than comes out."""
    content = bytes(40 * 1024 * 1024)
    packed = bytearray(_zip(("a.pdf", content)).getvalue())
    at = packed.index(b"PK\x01\x02") + 24
    packed[at : at + 4] = (1000).to_bytes(4, "little")
    return io.BytesIO(bytes(packed))


@pytest.mark.parametrize(
    "packed",
    [
        _zip(("a", b"1"), ("b", b"2")),
        _zip(),
        _zip(("folder/", b"")),
        _zip(("a", b"abc"), method=zipfile.ZIP_BZIP2),
        _zip(("bomb", bytes(60 * 1024 * 1024))),
        _encrypted(),
        _liar(),
        io.BytesIO(b"PK\x03\x04 and nothing else"),
        io.BytesIO(b""),
        io.BytesIO(_zip(("a", b"abc" * 1000)).getvalue()[:-30]),
    ],
    ids=["two", "none", "folder", "bzip2", "bomb", "encrypted", "liar", "head", "empty", "cut"],
)
def test_zip_of_another_kind_is_refused(packed: io.BytesIO) -> None:
    with pytest.raises(Refusal) as caught:
        list(unwrap(packed))
    assert caught.value.code == "ATT.ARCHIVE"


def test_file_that_packs_well_is_no_bomb() -> None:
    assert sum(map(len, unwrap(_zip(("blank.pdf", bytes(8 * 1024 * 1024)))))) == 8 * 1024 * 1024


def test_broken_disk_is_not_the_archives_fault() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(TransientError):
        list(unwrap(Broken(_zip(("a", b"1")).getvalue())))
