"""config/: every sample is accepted by what reads it, and shows every setting."""

import os
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axis import registry
from axis.cli.main import root
from axis.errors import PermanentError
from axis.office.settings import OfficeSettings
from axis.settings import Settings
from scripts.tables import leaves

CONFIG = Path(__file__).parents[2] / "config"
OFFICES = sorted((CONFIG / "offices").glob("*.toml"))


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(CONFIG / "axis.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("AXIS_"):
            monkeypatch.delenv(name)
    return tmp_path / "axis.toml"


def test_settings_are_read_from_the_sample(sample: Path) -> None:
    settings = Settings()
    assert settings.ledger_url == "postgresql://axis@db.example.vn/axis"
    assert settings.gateway.port == 8700


def test_sample_states_the_defaults_where_it_names_no_place(sample: Path) -> None:
    settings, plain = Settings(), Settings.model_construct()
    for branch in ("gateway", "router", "dispatch", "deadlines", "limits"):
        assert getattr(settings, branch) == getattr(plain, branch)


def test_sample_shows_every_setting(sample: Path) -> None:
    text = sample.read_text(encoding="utf-8")
    assert [name for name, _ in leaves(Settings) if f"{name.rpartition('.')[2]} = " not in text] == []


def test_environment_wins_over_the_file(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXIS_GATEWAY__PORT", "9000")
    settings = Settings()
    assert (settings.gateway.port, settings.gateway.per_office) == (9000, 16)


def test_unknown_key_is_an_error(sample: Path) -> None:
    sample.write_text(sample.read_text(encoding="utf-8").replace("port = 8700", "prot = 8700"), encoding="utf-8")
    answer = CliRunner().invoke(root(), ["audit"])
    assert answer.exit_code == 2
    assert "gateway.prot" in answer.output


def test_roll_is_good() -> None:
    roll = registry.load_offices(CONFIG / "offices.toml")
    assert {office.tier for office in roll.offices()} == set(
        tomllib.loads((CONFIG / "offices.toml").read_text())["tiers"]
    )


@pytest.mark.parametrize("file", OFFICES, ids=lambda file: file.stem)
def test_office_is_accepted(file: Path, tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        root(), ["office", "check", str(file), "--json"], env={"AXIS_OFFICE_ROOT": str(_secrets(tmp_path))}
    )
    assert answer.exit_code == 0, answer.output


def test_office_shows_how_a_gateway_over_https_is_believed(tmp_path: Path) -> None:
    text = (CONFIG / "offices" / "provincial-office.toml").read_text(encoding="utf-8")
    file = tmp_path / "office.toml"
    file.write_text(text.replace("# gateway_authorities", "gateway_authorities"), encoding="utf-8")
    settings = OfficeSettings.read({}, file)
    assert (settings.gateway_authorities, settings.show_certificate) == (tmp_path / "trust" / "ca.pem", False)
    settings = OfficeSettings.read({"AXIS_OFFICE_SHOW_CERTIFICATE": "true", "AXIS_GATEWAY_AUTHORITIES": "/x.pem"}, file)
    assert (settings.gateway_authorities, settings.show_certificate) == (Path("/x.pem"), True)


def _secrets(place: Path) -> Path:
    """Make the secrets that the adapters read when they are attached."""
    (place / "secrets").mkdir()
    for code in ("H56.05", "H56.NR"):
        (place / "secrets" / f"{code}.webhook").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", encoding="ascii")
        (place / "secrets" / f"{code}.token").write_text("token", encoding="ascii")
    return place


def test_broken_password_file_is_named() -> None:
    with pytest.raises(PermanentError, match=r"CFG\.INVALID"):
        registry.load_offices(CONFIG / "absent.toml")
