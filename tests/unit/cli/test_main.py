"""The command line as a whole: help everywhere, examples everywhere, wrong use told apart."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axis.cli.main import root
from scripts.tables import leaf_commands

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
