"""`axis receipt make`: what it writes is believed, and what it cannot say it does not."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axis import clock, receipts, seal
from axis.cli.main import root
from axis.receipts import bundle
from axis.seal import pki

OFFICE = "H56.112"
ITEM = {
    "envelope_id": "0" * 32,
    "digest": "1" * 64,
    "originator": "H56.05",
    "document_id": "H56.05,2026/08/25,125/SKHCN",
    "previous_receipt": "2" * 64,
    "attempt": 1,
}


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    pki.init(tmp_path / "trust", name="CA (ví dụ)", now=clock.now() - timedelta(hours=1))
    pki.issue(tmp_path / "trust", OFFICE, name="UBND xã mẫu (ví dụ)", now=clock.now() - timedelta(hours=1))
    (tmp_path / "item.json").write_text(json.dumps(ITEM), encoding="utf-8")
    return tmp_path / "trust"


def _run(trust: Path, *words: str) -> Result:
    key = ("--key", str(trust / "keys" / f"{OFFICE}.key.pem"), "--certificate", str(trust / "certs" / f"{OFFICE}.pem"))
    return CliRunner().invoke(
        root(), ["receipt", "make", str(trust.parent / "item.json"), "--as", OFFICE, *key, *words]
    )


def _make(trust: Path, *words: str) -> tuple[int, list[receipts.Receipt]]:
    """Run the command; return its exit code and what it signed, verified."""
    to = trust.parent / "answer"
    answer = _run(trust, "-o", str(to), *words)
    if answer.exit_code:
        return answer.exit_code, []
    body = to.read_bytes()
    found = bundle.unpack(bundle.RECEIPTS if body[:1].isdigit() else bundle.RECEIPT, body)
    believed = seal.load_trust(trust)
    return 0, [receipts.read_receipt(xml, believed, at=clock.now()).receipt for xml in found]


def test_without_a_place_the_receipts_alone_go_to_standard_output(trust: Path) -> None:
    """They are piped into what posts them: one byte more, and the axis refuses them."""
    made = _run(trust, "--registered", "417")
    assert made.exit_code == 0
    assert len(bundle.unpack(bundle.RECEIPTS, made.stdout_bytes)) == 2


def test_each_answer_is_signed_and_chained(trust: Path) -> None:
    _, (delivered, registered) = _make(trust, "--registered", "417")
    assert (delivered.level, delivered.previous, registered.number) == ("delivered", "2" * 64, "417")
    assert (registered.envelope_id, registered.envelope_digest) == (ITEM["envelope_id"], ITEM["digest"])
    _, (one,) = _make(trust, "--delivered")
    assert one.level == "delivered"
    _, (one,) = _make(trust, "--refused", "Gửi nhầm (ví dụ)")
    assert (one.level, one.status_code, one.reason) == ("refused", "02", "Gửi nhầm (ví dụ)")
    _, (one,) = _make(trust, "--progress", "06", "--note", "Đã xong (ví dụ)", "--previous", "3" * 64)
    assert (one.level, one.status_code, one.previous) == ("progress", "06", "3" * 64)


@pytest.mark.parametrize(
    "words",
    [(), ("--delivered", "--registered", "417"), ("--progress", "99"), ("--progress", "16"), ("--registered", " ")],
)
def test_what_says_nothing_or_two_things_is_not_signed(trust: Path, words: tuple[str, ...]) -> None:
    assert _make(trust, *words) == (2, [])


def test_file_that_is_no_item_is_not_signed(trust: Path) -> None:
    for content in ("{", "[]", "{}", json.dumps(ITEM | {"digest": "x"})):
        (trust.parent / "item.json").write_text(content, encoding="utf-8")
        assert _make(trust, "--delivered") == (2, []), content
