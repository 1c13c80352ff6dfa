"""The peer of `make bench` does the work that it is measured at: it refuses what we refuse, and we believe what it signs."""

from pathlib import Path

import pytest

from axis import clock, edxml, receipts, seal
from axis.seal import pki
from tests.bench.order import Order, letter
from tests.bench.usual import documents
from tests.bench.usual.documents import Directory, RefusedError
from tests.bench.usual.told import ADDRESSEE, AXIS, ORIGINATOR

_ORDER = Order(name="peer", addressees=(ADDRESSEE,), documents=1, file_bytes=3, per_s=None)
_FILE = edxml.AttachmentRef("a1", "1.pdf", "application/pdf", "0" * 64, 3)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust")
    pki.init(folder, name="CA (ví dụ)", now=clock.now())
    for code in (AXIS, ORIGINATOR, ADDRESSEE):
        pki.issue(folder, code, name=code, now=clock.now())
    return folder


@pytest.fixture(scope="module")
def sealed(trust: Path) -> bytes:
    return documents.seal(edxml.render(letter(ORIGINATOR, _ORDER, 1, (_FILE,))), Directory(trust).key(ORIGINATOR))


def test_what_it_seals_is_believed_by_the_axis_and_by_itself(trust: Path, sealed: bytes) -> None:
    received = edxml.parse(sealed)
    edxml.gate(received)
    message = seal.verify(received, seal.load_trust(trust), at=clock.now()).message
    envelope = documents.open_envelope(sealed, Directory(trust), validate=True)

    assert isinstance(message, edxml.Document)
    assert (envelope.originator, envelope.document_id) == (message.originator.organ_id, message.document_id)
    assert envelope.files == ((_FILE.sha256, _FILE.size_bytes),)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("V/v đo lường", "V/v đo"), (f'axp:bytes="{_FILE.size_bytes}"', 'axp:bytes="4"'), (ORIGINATOR, ADDRESSEE)],
    ids=["text", "manifest", "another office"],
)
def test_it_refuses_what_is_not_what_was_signed(trust: Path, sealed: bytes, was: str, becomes: str) -> None:
    changed = sealed.replace(was.encode(), becomes.encode(), 1)
    assert changed != sealed

    with pytest.raises(RefusedError):
        documents.open_envelope(changed, Directory(trust))


def test_it_refuses_what_does_not_fit_the_schema(trust: Path) -> None:
    unsealed = edxml.render(letter(ORIGINATOR, _ORDER, 1, (_FILE,))).replace(b"<edXML:Subject>", b"<edXML:Topic>")
    wrong = documents.seal(unsealed.replace(b"</edXML:Subject>", b"</edXML:Topic>"), Directory(trust).key(ORIGINATOR))

    with pytest.raises(RefusedError, match="Topic"):
        documents.open_envelope(wrong, Directory(trust), validate=True)


def test_its_receipts_are_believed_until_they_are_changed(trust: Path, sealed: bytes) -> None:
    directory = Directory(trust)
    said = documents.write_receipt(
        "registered",
        directory.key(ADDRESSEE),
        about=documents.open_envelope(sealed, directory),
        envelope_id="a" * 32,
        addressee=ADDRESSEE,
        previous="0" * 64,
        status_code="03",
        number="7",
    )
    believed = receipts.read_receipt(said.xml, seal.load_trust(trust), at=clock.now()).receipt

    assert documents.open_receipt(said.xml, directory, validate=True) == said
    assert (believed.level, believed.issuer, believed.number, believed.at) == ("registered", ADDRESSEE, "7", said.at)
    with pytest.raises(RefusedError):
        documents.open_receipt(said.xml.replace(b"<Number>7", b"<Number>8"), directory)
