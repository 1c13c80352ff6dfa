"""`axis offices import` and `export`: what a person and a program are told, and what is written."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from axis.cli.main import root

SAMPLE = Path(__file__).parents[3] / "config" / "offices.toml"
GOOD = "Mã định danh,Tên đơn vị,Cấp\nH56.112,UBND phường Mẫu (ví dụ),commune\nH56.777,UBND xã mới (ví dụ),commune\n"
BAD = "Mã định danh,Cấp\nH56.112,quân khu\n"


@pytest.fixture
def roll(tmp_path: Path) -> Path:
    copy = tmp_path / "offices.toml"
    copy.write_bytes(SAMPLE.read_bytes())
    copy.chmod(0o640)
    return copy


def run(*words: object) -> tuple[int, str]:
    answer = CliRunner().invoke(root(), ["offices", *map(str, words)])
    return answer.exit_code, answer.output


def put(folder: Path, text: str) -> Path:
    table = folder / "table.csv"
    table.write_text(text, encoding="utf-8")
    return table


def planned(*words: object) -> tuple[int, Any]:
    code, said = run("import", *words, "--json")
    return code, json.loads(said)


def test_dry_run_says_what_would_change_and_writes_nothing(tmp_path: Path, roll: Path) -> None:
    before = roll.read_bytes()
    code, said = run("import", put(tmp_path, GOOD), "--roll", roll, "--dry-run")
    assert code == 0
    assert "Would be written" in said
    assert "1 mới / new, 1 sửa / changed" in said
    assert roll.read_bytes() == before


def test_import_writes_the_roll_which_keeps_its_rights(tmp_path: Path, roll: Path) -> None:
    code, facts = planned(put(tmp_path, GOOD), "--roll", roll)
    assert (code, facts["good"], facts["written"]) == (0, True, True)
    assert [(one["row"], one["code"], one["is_new"]) for one in facts["changes"]] == [
        (2, "H56.112", False), (3, "H56.777", True)
    ]  # fmt: skip
    assert stat.S_IMODE(roll.stat().st_mode) == 0o640
    assert run("check", roll)[0] == 0
    code, facts = planned(put(tmp_path, GOOD), "--roll", roll)
    assert (code, facts["written"], facts["changes"]) == (0, False, [])


def test_what_is_to_be_mended_is_listed_and_nothing_is_written(tmp_path: Path, roll: Path) -> None:
    before = roll.read_bytes()
    code, facts = planned(put(tmp_path, BAD), "--roll", roll)
    assert (code, facts["good"], facts["written"]) == (1, False, False)
    (slip,) = facts["slips"]
    assert (slip["row"], slip["column"], slip["vi"]) == (2, "Cấp", "không có giá trị “quân khu”")
    assert slip["mend_vi"] == "chọn một trong: axis, commune, department, district, province"
    code, said = run("import", put(tmp_path, BAD), "--roll", roll)
    assert code == 1
    assert "nothing was written" in said
    assert roll.read_bytes() == before


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_export_and_import_again_change_nothing(tmp_path: Path, roll: Path, name: str) -> None:
    before = roll.read_bytes()
    assert run("export", tmp_path / name, "--file", roll)[0] == 0
    code, facts = planned(tmp_path / name, "--roll", roll)
    assert (code, facts["changes"], facts["written"]) == (0, [], False)
    assert roll.read_bytes() == before


def test_export_into_something_else_is_wrong_use(tmp_path: Path, roll: Path) -> None:
    assert run("export", tmp_path / "a.pdf", "--file", roll)[0] == 2
    assert run("export", tmp_path / "none" / "a.csv", "--file", roll)[0] == 2


def test_roll_that_cannot_be_written_is_told_and_stays(tmp_path: Path, roll: Path) -> None:
    before = roll.read_bytes()
    (tmp_path / f".offices.toml.{os.getpid()}.new").mkdir()  # In the way of what is written first.
    code, said = run("import", put(tmp_path, GOOD), "--roll", roll)
    assert code == 3
    assert "Cannot be read or written" in said
    assert roll.read_bytes() == before
