"""The command line as a whole: help everywhere, examples everywhere, wrong use told apart."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axis.cli import options
from axis.cli.main import root
from scripts.tables import leaf_commands

_HOME = Path(__file__).parents[3]
_DOCUMENT = str(_HOME / "docs" / "examples" / "giay-moi.xml")
_ROLL = str(_HOME / "config" / "offices.toml")
COMMANDS = [name for name, _ in leaf_commands()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    answer = CliRunner().invoke(root(), [*name.split(), "--help"])
    assert answer.exit_code == 0
    assert "Example: " in answer.output


@pytest.mark.parametrize("name", ["track", "audit", "deadlines", "deadletters list", "deadletters show", "held list", "held forward", "held return", "offices list", "offices import", "doctor", "lint", "send", "route explain", "seal verify"])  # fmt: skip
def test_what_programs_read_can_be_had_as_json(name: str) -> None:
    assert "--json" in CliRunner().invoke(root(), [*name.split(), "--help"]).output


@pytest.mark.parametrize("name", ["", "office", "seal", "pki", "offices", "route", "broker", "deadletters", "held"])
def test_group_alone_shows_what_is_in_it(name: str) -> None:
    answer = CliRunner().invoke(root(), name.split())
    assert "Usage: " in answer.output
    assert answer.exit_code in (0, 2)


def test_unknown_command_is_wrong_use() -> None:
    assert CliRunner().invoke(root(), ["fly"]).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["track", "1"],
        ["deadlines"],
        ["deadletters", "list"],
        ["held", "list"],
        ["held", "forward", "1", "--to", "H56.112"],
        ["offices", "list"],
    ],
)
def test_absent_ledger_is_told_and_not_made(words: list[str], tmp_path: Path) -> None:
    answer = CliRunner().invoke(root(), [*words, "--data", str(tmp_path / "nothing")])
    assert answer.exit_code == 2
    assert "CFG.INVALID" in answer.output
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AXIS_GATEWAY__PORT", "abc"),
        ("AXIS_LIMITS", "no JSON"),
        ("AXIS_LEDGER_PASSWORD_FILE", "none"),
        ("AXIS_DATA", "file/in"),
    ],
)
def test_setting_that_is_wrong_is_told(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("AXIS_LEDGER_URL", "postgresql://axis@127.0.0.1:9/axis")
    monkeypatch.setenv(variable, value)
    answer = CliRunner().invoke(root(), ["router"])
    assert answer.exit_code == 2, answer.exception
    assert answer.output


@pytest.mark.parametrize("content", [b"limits = {", b"\xff"])
def test_file_of_settings_that_cannot_be_read_is_told(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "axis.toml").write_bytes(content)
    answer = CliRunner().invoke(root(), ["track", "1"])
    assert answer.exit_code == 2, answer.exception
    assert "axis.toml" in answer.output


@pytest.mark.parametrize(
    "words",
    [
        ["content", "ics", _DOCUMENT, "-o", "{}"],
        ["offices", "export", "{}.csv", "--file", _ROLL],
        ["offices", "load", _ROLL, "--data", "{}"],
        ["broker", "definitions", "--offices", _ROLL, "--secrets", "{}"],
    ],
)
def test_place_that_cannot_be_is_wrong_use(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = CliRunner().invoke(root(), [word.replace("{}", str(tmp_path / "file" / "in")) for word in words])
    assert answer.exit_code == 2, answer.exception
    assert "Cannot be read or written" in answer.output


def test_office_that_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "office.toml").write_text('office = "H56.112"\n')
    answer = CliRunner().invoke(root(), ["office", "check", str(tmp_path / "office.toml")])
    assert answer.exit_code == 2, answer.exception
    assert "tables" in answer.output


def test_full_disk_is_told() -> None:
    answer = CliRunner().invoke(root(), ["content", "ics", _DOCUMENT, "-o", "/dev/full"])
    assert answer.exit_code == 3, answer.exception
    assert "No space left" in answer.output


@pytest.mark.parametrize(
    "words",
    [
        ["deadlines", "--within", "99999999999"],
        ["deadlines", "--summary", "--days", "99999999"],
        ["deadletters", "show", str(2**63)],
        ["deadletters", "replay", str(2**63), "--reason", "x"],
        ["held", "return", str(2**63), "--reason", "x"],
        ["passwords", "new", "H56.112", "--overlap", "1e300"],
    ],
)
def test_number_beyond_all_bounds_is_wrong_use(words: list[str], tmp_path: Path) -> None:
    assert CliRunner().invoke(root(), ["offices", "load", _ROLL, "--data", str(tmp_path)]).exit_code == 0
    answer = CliRunner().invoke(root(), [*words, "--data", str(tmp_path)])
    assert answer.exit_code == 2, answer.exception


def test_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert options.account() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)  # Of nobody.
    assert options.account() == "2000000001"


def test_several_routers_need_postgresql(tmp_path: Path) -> None:
    answer = CliRunner().invoke(root(), ["up", "--routers", "2", "--data", str(tmp_path)])
    assert answer.exit_code == 2
    assert "CFG.INVALID" in answer.output
    assert not any(tmp_path.iterdir())


def test_light_commands_do_not_load_the_servers() -> None:
    script = (
        "import sys; from axis.cli.main import root; root('lint'); "
        "sys.exit(sum(name in sys.modules for name in ('fastapi', 'sqlalchemy', 'aio_pika', 'uvicorn', 'obstore', 'openpyxl', 'tomlkit')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
