"""`axis send` before it sends: what cannot be sent is told, as what it is."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axis import clock
from axis.cli.main import root
from axis.seal import pki
from tests.province import DOCUMENT

OFFICE = "H56.05"
_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the trust of one office, a document, and a file that is no key."""
    pki.init(tmp_path / "trust", name="CA (ví dụ)", now=clock.now() - timedelta(hours=1))
    pki.issue(tmp_path / "trust", OFFICE, name="Sở mẫu (ví dụ)", now=clock.now() - timedelta(hours=1))
    (tmp_path / "125.edxml").write_text(DOCUMENT, encoding="utf-8")
    (tmp_path / "junk").write_bytes(b"junk")
    return tmp_path


def _send(data: Path, *words: str) -> Result:
    file = str(data / "125.edxml")
    return CliRunner().invoke(
        root(), ["send", file, "--as", OFFICE, "--data", str(data), "--gateway", _NOWHERE, *words]
    )


def test_gateway_that_does_not_answer_is_waited_for(data: Path) -> None:
    assert _send(data, "--receipt", str(data / "receipt.xml")).exit_code == 3


@pytest.mark.parametrize(
    "words",
    [
        ("--as", "H56.50"),
        ("--key", "junk"),
        ("--authorities", "junk"),
        ("--gateway", "gateway.example.vn"),
        ("--gateway", "http://127.0.0.1:abc"),
        ("--gateway", "http://[1"),
        ("--gateway", ""),  # None is running on this data.
    ],
)
def test_what_is_mistyped_is_wrong_use(data: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Refused would say that the axis has judged it."""
    monkeypatch.chdir(data)
    answer = _send(data, *words)
    assert answer.exit_code == 2, answer.exception
    assert answer.output


def test_setting_that_is_wrong_is_wrong_use(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXIS_GATEWAY__PORT", "abc")
    answer = _send(data)
    assert answer.exit_code == 2, answer.exception
    assert "gateway.port" in answer.output


@pytest.mark.parametrize("place", ["none/receipt.xml", "junk/receipt.xml", "trust"])
def test_receipt_that_has_no_place_is_told_before(data: Path, place: str) -> None:
    """With a gateway that does not answer it would be 3 if it had been tried."""
    answer = _send(data, "--receipt", str(data / place))
    assert answer.exit_code == 2, answer.exception
