"""Dialects: what the samples do not show - limits, hostile bytes, files that only look like wrappings."""

import io
import zipfile
from base64 import b64encode
from time import process_time

import pytest

from axis.edxml import Document, limits
from axis.edxml.dialects import (
    DIALECTS,
    WORDS,
    Cut,
    Cutter,
    Policy,
    Quirk,
    contents,
    is_sealed,
    judge,
    media_type_of,
)
from axis.edxml.dialects.cut import MAX_JUNK_BYTES
from axis.errors import Refusal
from tests.conformance.dialects.test_samples import FOLDER
from tests.province import province, sealed

SDK = (FOLDER / "samples" / "sdk.edxml").read_bytes()
SWA = (FOLDER / "samples" / "swa.edxml").read_bytes()
SOAP = Policy(DIALECTS["swa"], takes_unsigned=True)
POLICY = Policy(DIALECTS["sdk"], takes_unsigned=True)
BUDGET_S = 3.0  # What these catch would take minutes.


def _cut(octets: bytes, piece: int = 64 * 1024) -> Cut:
    cutter = Cutter(io.BytesIO)
    for start in range(0, len(octets), piece):
        cutter.feed(octets[start : start + piece])
    return cutter.close()


def _put(old: str, new: str) -> bytes:
    assert old.encode() in SDK
    return SDK.replace(old.encode(), new.encode(), 1)


def _codes(octets: bytes) -> list[str]:
    try:
        return [found.code for found in judge(_cut(octets), POLICY).violations]
    except Refusal as refusal:
        return [found.code for found in refusal.violations]


@pytest.mark.parametrize(
    ("octets", "codes"),
    [
        (b"", ["ENV.NOT_WELL_FORMED"]),
        (b" " * 1000, ["ENV.NOT_WELL_FORMED"]),
        (b" " * MAX_JUNK_BYTES + SDK, []),
        (b" " * (MAX_JUNK_BYTES + 1) + SDK, ["ENV.NOT_WELL_FORMED"]),
        (_put("<edXML xmlns=", '<edXML a="' + "a" * 2 * limits.MAX_ENVELOPE_BYTES + '" xmlns='), ["ENV.TOO_LARGE"]),
        (_put("<edXML:Content>", "<edXML:Content>" + "a" * limits.MAX_ENVELOPE_BYTES), ["ENV.TOO_LARGE"]),
        (_put("<edXML:Fax/>", "<edXML:Fax/>" * (limits.MAX_ELEMENTS + 1)), ["ENV.TOO_COMPLEX"]),
        (_put("<edXML:Fax/>", "<edXML:Fax>" * 50 + "</edXML:Fax>" * 50), ["ENV.TOO_COMPLEX"]),
        (_put("<edXML:Fax/>", "<edXML:Fax " + " ".join(f'a{n}=""' for n in range(40)) + "/>"), ["ENV.TOO_COMPLEX"]),
        (_put("<edXML:Fax/>", '<x xmlns="a b"/>'), ["ENV.NOT_WELL_FORMED"]),
        (_put("<edXML:Fax/>", '<x xmlns="a}b"/>'), ["ENV.NOT_WELL_FORMED"]),
        (_put("<edXML:Fax/>", "<y:x/>"), ["ENV.NOT_WELL_FORMED"]),
        (_put("<edXML:Fax/>", "&a;"), ["ENV.NOT_WELL_FORMED"]),
        (SDK.replace("Thanh Hóa".encode(), "Thanh Hóa".encode("cp1258")), ["ENV.ENCODING"]),
        (SDK[:-40], ["ENV.NOT_WELL_FORMED"]),
        (_put("UEsDBB", "<a/>UEsDBB"), ["ENV.SCHEMA"]),
        (_put("<AttachmentEncoded>", "<AttachmentEncoded>" + "<Attachment><Content/></Attachment>" * 100), ["ATT.COUNT"]),
    ],
    ids=range(17),
)  # fmt: skip
def test_bytes_beyond_the_limits_are_refused_at_once(octets: bytes, codes: list[str]) -> None:
    began = process_time()
    assert _codes(octets) == codes
    assert process_time() - began < BUDGET_S


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (_put("<edXML:Reference>", "<edXML:Reference/>" * 40_000 + "<edXML:Reference>"), "ATT.COUNT"),
        (_put("<edXML:TraceHeader>", "<edXML:TraceHeader/>" * 40_000 + "<edXML:TraceHeader>"), ""),
        (_put("<edXML:ToPlaces>", "<edXML:ResponseFor/>" * 40_000 + "<edXML:ToPlaces>"), ""),
        (_put("  <edXML:edXMLBody>", "<edXML:Surprise/>" * 40_000 + "<edXML:edXMLBody>"), "ENV.SCHEMA"),
        (_put("<edXML:Fax/>", "".join(f'<x xmlns="urn:{n}"/>' for n in range(30_000))), "ENV.DIALECT"),
    ],
    ids=["references", "traces", "responses", "unknown", "namespaces"],
)
def test_many_of_anything_take_no_longer(octets: bytes, code: str) -> None:
    began = process_time()
    codes = _codes(octets)
    assert process_time() - began < BUDGET_S
    assert codes[:1] == ([code] if code else [])
    assert len(codes) <= 400


def test_task_codes_that_say_nothing_are_left_out() -> None:
    blank, one = "<edXML:TaskCode/>", "<edXML:TaskCode> NV-1 </edXML:TaskCode>"
    for within, meant in ((blank, ()), ("", ()), (one + blank, ("NV-1",))):
        octets = _put("<edXML:ToPlaces>", f"<edXML:ResponseForTask>{within}</edXML:ResponseForTask><edXML:ToPlaces>")
        judged = judge(_cut(octets), POLICY)
        assert judged.violations == ()
        assert isinstance(judged.message, Document)
        assert judged.message.tasks == meant


def test_lines_are_those_of_the_file_with_its_junk() -> None:
    octets = b"\n\n" + SDK.replace(b"<edXML:Priority>1<", b"<edXML:Priority>7<")
    line = octets[: octets.index(b"<edXML:Priority>")].count(b"\n") + 1
    (found,) = judge(_cut(octets), POLICY).violations
    assert (found.line, found.path.rpartition("/")[2]) == (line, "edXML:Priority")


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_pieces_make_no_difference(piece: int) -> None:
    octets = b"\xef\xbb\xbf1212" + SDK
    whole, cut = judge(_cut(octets), POLICY), judge(_cut(octets, piece), POLICY)
    assert (cut.message, cut.tolerated) == (whole.message, whole.tolerated)
    assert [one.quirk for one in cut.tolerated][:2] == [Quirk.BOM, Quirk.JUNK]


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_pieces_make_no_difference_to_parts(piece: int) -> None:
    whole, cut = judge(_cut(SWA), SOAP), judge(_cut(SWA, piece), SOAP)
    assert (cut.message, cut.tolerated, cut.violations) == (whole.message, whole.tolerated, ())
    assert [_bytes_of(one) for one in cut.sinks] == [_bytes_of(one) for one in whole.sinks] != [b""]


@pytest.mark.parametrize(
    ("octets", "code", "rule"),
    [
        (b"--" + b"a" * 1000, "ENV.MIME", "mime:boundary"),
        (b"--\r\n\r\n", "ENV.MIME", "mime:boundary"),
        (b"--a", "ENV.MIME", "mime:end"),
        (b"--a\r\n", "ENV.MIME", "mime:end"),
        (b"--a--\r\n", "ENV.MIME", "mime:end"),
        (b"--a\r\n\r\n<x/>", "ENV.MIME", "mime:end"),
        (b"--a\r\n\r\n\r\n--a--", "ENV.NOT_WELL_FORMED", "ENV.NOT_WELL_FORMED"),
        (b"--a\r\nX: " + b"a" * 9000, "ENV.MIME", "mime:header"),
        (SWA.replace(b"\r\n", b"\n"), "ENV.MIME", "mime:boundary"),
        (SWA.replace(b"<7>", b"<\x01>"), "ENV.MIME", "mime:header"),
        (SWA.replace(b"<edXML:Subject>", b"<edXML:Subject>" + b"a" * limits.MAX_ENVELOPE_BYTES), "ENV.TOO_LARGE", "ENV.TOO_LARGE"),
    ],
    ids=range(11),
)  # fmt: skip
def test_parts_that_are_none_are_refused(octets: bytes, code: str, rule: str) -> None:
    for piece in (1, len(octets)) if len(octets) < 100_000 else (64 * 1024,):
        with pytest.raises(Refusal) as caught:
            _cut(octets, piece)
        assert [(found.code, found.rule) for found in caught.value.violations] == [(code, rule)]


def test_part_beyond_the_limit_is_refused_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ATTACHMENT_BYTES", 1000)
    endless = SWA[: SWA.index(b"%PDF")] + b"a" * 1001
    with pytest.raises(Refusal, match=r"ATT\.SIZE"):
        Cutter(io.BytesIO).feed(endless + b"a" * 100)


def test_files_within_and_beside_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ATTACHMENTS", 1)
    within = b"<edXML:AttachmentEncoded><edXML:Attachment><edXML:Content>YQ==</edXML:Content></edXML:Attachment></edXML:AttachmentEncoded>"
    with pytest.raises(Refusal, match=r"ATT\.COUNT"):
        _cut(SWA.replace(b"</SOAP-ENV:Envelope>", within + b"</SOAP-ENV:Envelope>"))


def _bytes_of(sink: object) -> bytes:
    assert isinstance(sink, io.BytesIO)
    return sink.getvalue()


def test_seal_of_the_profile_is_known_from_older_signatures() -> None:
    assert is_sealed(_cut(sealed(province())))
    assert not is_sealed(_cut(SDK))
    for name in ("sample", "sample-ds-signature"):
        assert not is_sealed(_cut((FOLDER / "samples" / f"{name}.edxml").read_bytes()))


def _zip(*entries: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return packed.getvalue()


WRAPPED = _zip(("7.pdf", b"%PDF"))
NESTED = _zip(("7.zip", WRAPPED))
FOLDERED = _zip(("a/", b""))
TWO = _zip(("a", b""), ("b", b""))
EPUB = _zip(("mimetype", b"application/epub+zip"))


@pytest.mark.parametrize(
    ("packed", "name", "dialect", "content"),
    [
        (WRAPPED, "7.pdf", "sdk", b"%PDF"),
        (WRAPPED, "7.pdf", "edoc", b"%PDF"),  # Where files are not wrapped mostly, some are.
        (WRAPPED, "7", "sdk", b"%PDF"),
        (WRAPPED, "7.zip", "sdk", WRAPPED),
        (WRAPPED, "7.zip", "edoc", WRAPPED),
        (NESTED, "7.zip", "sdk", WRAPPED),
        (NESTED, "7.ZIP", "edoc", NESTED),
        (TWO, "7.pdf", "sdk", TWO),
        (FOLDERED, "7.pdf", "sdk", FOLDERED),
        (EPUB, "7.pdf", "sdk", EPUB),
        (b"%PDF", "7.pdf", "sdk", b"%PDF"),
        (b"", "7.pdf", "sdk", b""),
        (b"PK\x03\x04", "7.zip", "sdk", b"PK\x03\x04"),
    ],
)
def test_file_is_told_from_its_wrapping(packed: bytes, name: str, dialect: str, content: bytes) -> None:
    assert b"".join(contents(io.BytesIO(packed), name, DIALECTS[dialect])) == content


@pytest.mark.parametrize("packed", [b"PK\x03\x04 broken", WRAPPED[:-10]])
def test_wrapping_that_is_broken_is_refused(packed: bytes) -> None:
    with pytest.raises(Refusal, match=r"ATT\.ARCHIVE"):
        b"".join(contents(io.BytesIO(packed), "7.pdf", DIALECTS["sdk"]))


def test_bomb_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("7.pdf", bytes(limits.MAX_HARMLESS_BYTES + 1))
    with pytest.raises(Refusal, match=r"ATT\.ARCHIVE"):
        for _ in contents(packed, "7.pdf", DIALECTS["sdk"]):
            pass


def test_media_type_follows_from_the_name_on_every_machine() -> None:
    assert media_type_of("a.PDF", "text/plain") == "application/pdf"
    assert media_type_of("a.xyz", "image/x-own") == "image/x-own"
    assert media_type_of("a.xyz", "application/zip") == "application/octet-stream"
    assert media_type_of("a") == "application/octet-stream"


def test_every_quirk_has_words() -> None:
    assert set(WORDS) == set(Quirk)


def test_large_file_goes_to_its_sink_and_not_into_memory() -> None:
    file = bytes(range(256)) * 40_000
    octets = SDK.replace(SDK[SDK.index(b"UEsDBB") : SDK.index(b"</edXML:ContentTransferEncoded>")], b64encode(file))
    cut = _cut(octets)
    (carried,) = cut.files
    assert isinstance(carried.sink, io.BytesIO)
    assert carried.sink.getvalue() == file
