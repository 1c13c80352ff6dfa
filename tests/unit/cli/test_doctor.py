"""`axis doctor`: what it says of the calendar, and of what the gateway shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from axis import clock
from axis.cli.doctor import _broker, _calendar, _https
from axis.settings import Deadlines, Gateway, Settings
from tests.province import AT, DAY, Province

SAMPLE = Path(__file__).parents[3] / "config" / "calendar.toml"


@pytest.mark.parametrize(
    ("calendar", "year", "month", "state", "text"),
    [
        (None, 2026, 9, "odd", "no holidays"),
        (SAMPLE, 2026, 9, "good", "14 holidays of 2026"),
        (SAMPLE, 2027, 12, "odd", "0 holidays of 2028"),  # The next ones are not entered yet.
        (SAMPLE.with_name("absent.toml"), 2026, 9, "bad", "CFG.INVALID"),
    ],
    ids=["none", "sample", "next year", "absent"],
)
def test_calendar_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, calendar: Path | None, year: int, month: int, state: str, text: str
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(year, month, 15, tzinfo=UTC))
    check = _calendar(Settings(deadlines=Deadlines(calendar=calendar)))
    assert check.state == state
    assert text in check.text


async def test_address_of_no_broker_is_bad() -> None:
    check = await _broker(Settings(broker_url="mq.example.vn"))
    assert (check.state, "broker_url" in check.text) == ("bad", True)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A gateway that serves HTTPS and asks for the certificates of the province."""
    monkeypatch.setattr(clock, "now", lambda: AT)
    province = Province()
    (tmp_path / "ca.pem").write_bytes(province.ca.public_bytes(Encoding.PEM))
    _show(tmp_path, province)
    place = Gateway(
        certificate=tmp_path / "gateway.pem", key=tmp_path / "gateway.key.pem", authorities=tmp_path / "ca.pem"
    )
    return Settings(trust=tmp_path, gateway=place)


def _show(folder: Path, province: Province, *, host: str | None = "axis.example.vn", **flaws: Any) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = None if host is None else (x509.SubjectAlternativeName([x509.DNSName(host)]), False)
    made = province.certificate("axis.example.vn", key, other=names, **flaws)
    (folder / "gateway.pem").write_bytes(made.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "gateway.key.pem").write_bytes(pem)


def test_https_that_is_good_is_told_so(served: Settings) -> None:
    (check,) = _https(served)
    assert (check.state, check.text) == (
        "good",
        "for axis.example.vn, 100 days left; asks for certificates of 1 authorities",
    )


def test_nothing_is_said_of_https_that_is_not_served() -> None:
    assert _https(Settings()) == []


@pytest.mark.parametrize(
    ("flaws", "state"),
    [
        ({"not_after": AT - timedelta(hours=1)}, "bad"),
        ({"not_before": AT + timedelta(hours=1)}, "bad"),
        ({"host": None}, "bad"),
        ({"not_after": AT + 20 * DAY}, "odd"),
    ],
    ids=["ended", "not begun", "no host", "ends soon"],
)
def test_certificate_that_clients_will_not_believe_is_named(
    served: Settings, flaws: dict[str, Any], state: str
) -> None:
    assert served.trust is not None
    _show(served.trust, Province(), **flaws)
    (check,) = _https(served)
    assert check.state == state
    assert check.remedy


@pytest.mark.parametrize("name", ["gateway.pem", "gateway.key.pem", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----"], ids=["absent", "empty", "broken"])
def test_file_that_cannot_be_used_is_named(served: Settings, name: str, content: bytes | None) -> None:
    assert served.trust is not None
    if content is None:
        (served.trust / name).unlink()
    else:
        (served.trust / name).write_bytes(content)
    (check,) = _https(served)
    assert check.state == "bad"
    assert name in check.text


def test_key_of_another_certificate_is_bad(served: Settings) -> None:
    assert served.trust is not None
    certificate = (served.trust / "gateway.pem").read_bytes()
    _show(served.trust, Province())
    (served.trust / "gateway.pem").write_bytes(certificate)
    (check,) = _https(served)
    assert (check.state, "MISMATCH" in check.text) == ("bad", True)


def test_authority_that_the_trust_does_not_know_is_odd(served: Settings, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(Province().ca.public_bytes(Encoding.PEM))
    place = served.gateway.model_copy(update={"authorities": tmp_path / "other.pem"})
    (check,) = _https(served.model_copy(update={"gateway": place}))
    assert check.state == "odd"


@pytest.mark.parametrize("part", ["certificate", "key", "authorities"])
def test_part_of_what_https_needs_is_an_error(part: str) -> None:
    with pytest.raises(ValueError, match=r"go together|need a certificate"):
        Gateway(**{part: Path("x.pem")})
