"""Tables of offices into a roll: what changes, what is to be mended, and what stays as a person wrote it."""

import csv
import tomllib
from pathlib import Path
from typing import Any

import pytest

from axis.registry import load_offices
from axis.registry.columns import COLUMNS, column_of, row_of
from axis.registry.importing import Import, plan_import
from axis.registry.sheets import write_sheet
from tests.province import AT

CONFIG = Path(__file__).parents[3] / "config"

ROLL = """# A roll.
[tiers]
axis = { name = "Trục liên thông", rank = 0 }
commune = { name = "Xã, phường", rank = 3 }

[[offices]]
code = "H56.TRUC"
name = "Trục (ví dụ)"
tier = "axis"

[[offices]]
code = "H56.112" # Hàm Rồng.
code102 = "000.12.31.H56"
name = "UBND phường Hàm Rồng (ví dụ)"
tier = "commune"
successors = [] # None yet.

# Rules are tried in this order.
[[rules]]
name = "open"
allow = true
"""


class Desk:
    """A roll and a table on the disk."""

    def __init__(self, folder: Path) -> None:
        self.roll = folder / "offices.toml"
        self.roll.write_text(ROLL, encoding="utf-8")
        self.table = folder / "table.csv"

    def plan(self, *lines: list[str], roll: str | None = None) -> Import:
        if roll is not None:
            self.roll.write_text(roll, encoding="utf-8")
        with self.table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
        return plan_import(self.table, self.roll, at=AT)

    def slips(self, *lines: list[str]) -> list[tuple[int | None, str | None, str]]:
        planned = self.plan(*lines)
        assert planned.text is None
        return [(slip.row, slip.column, slip.en) for slip in planned.slips]

    def put(self, planned: Import) -> dict[str, Any]:
        assert planned.text is not None
        self.roll.write_text(planned.text, encoding="utf-8")
        return {office["code"]: office for office in tomllib.loads(planned.text)["offices"]}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- what changes -------------------------------------------------------------------


def test_row_changes_what_it_says_and_nothing_else(desk: Desk) -> None:
    planned = desk.plan(["code", "name", "unit_code"], ["H56.112", "UBND phường Mẫu (ví dụ)", "14758"])
    (change,) = planned.changes
    assert (change.row, change.code, change.is_new) == (2, "H56.112", False)
    assert change.fields == {
        "name": ("UBND phường Hàm Rồng (ví dụ)", "UBND phường Mẫu (ví dụ)"),
        "unit_code": (None, "14758"),
    }
    assert planned.text == ROLL.replace("UBND phường Hàm Rồng", "UBND phường Mẫu").replace(
        "# None yet.\n", '# None yet.\nunit_code = "14758"\n'
    )


def test_row_of_an_unknown_code_becomes_an_office_before_the_next_section(desk: Desk) -> None:
    planned = desk.plan(["code", "name", "tier"], ["H56.113", "UBND xã mẫu (ví dụ)", "commune"])
    new = '[[offices]]\ncode = "H56.113"\nname = "UBND xã mẫu (ví dụ)"\ntier = "commune"\n\n'
    assert planned.text == ROLL.replace("# Rules are", f"{new}# Rules are")


def test_vietnamese_headings_and_words_are_read(desk: Desk) -> None:
    header = [
        "MÃ ĐỊNH DANH",
        "tên đơn vị",
        "Cấp",
        "Trạng thái",
        "Ngừng hoạt động từ ngày",
        "Đơn vị kế thừa",
        "Sau khi đóng",
    ]
    row = ["H56.900", "UBND xã cũ (ví dụ)", "xã, phường", "Đã giải thể", "1/7/2025", "H56.112", "chuyển tiếp"]
    office = desk.put(desk.plan(header, row))["H56.900"]
    assert office | {"closed_on": str(office["closed_on"])} == {
        "code": "H56.900", "name": "UBND xã cũ (ví dụ)", "tier": "commune", "status": "closed", "closed_on": "2025-07-01",
        "successors": ["H56.112"], "after_closing": "forward",
    }  # fmt: skip


def test_empty_cell_takes_the_value_away(desk: Desk) -> None:
    planned = desk.plan(["code", "code102"], ["H56.112", ""])
    assert planned.changes[0].fields == {"code102": ("000.12.31.H56", None)}
    assert "code102" not in desk.put(planned)["H56.112"]


def test_list_may_be_parted_in_any_usual_way(desk: Desk) -> None:
    for cell in ("H56.A; H56.B", "H56.A,H56.B", "H56.A H56.B"):
        assert desk.put(desk.plan(["code", "aliases"], ["H56.112", cell]))["H56.112"]["aliases"] == ["H56.A", "H56.B"]


def test_roll_that_only_lacks_offices_gets_them(desk: Desk) -> None:
    group = '[[groups]]\ncode = "H56.G"\nname = "Nhóm"\nmembers = ["H56.113"]\n'
    header, row = ["code", "name", "tier"], ["H56.113", "UBND xã mẫu (ví dụ)", "commune"]
    assert desk.plan(header, row, roll=ROLL.split("[[offices]]")[0] + group).text is not None


@pytest.mark.parametrize("name", ["table.csv", "table.xlsx"])
def test_import_of_an_export_changes_nothing(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "offices.toml"
    copy.write_bytes((CONFIG / "offices.toml").read_bytes())
    offices = load_offices(copy).offices()
    write_sheet(tmp_path / name, [column.title for column in COLUMNS], [row_of(office) for office in offices])
    planned = plan_import(tmp_path / name, copy, at=AT)
    assert (planned.slips, planned.changes, planned.text) == ((), (), copy.read_text(encoding="utf-8"))


def test_export_holds_every_field_of_an_office_but_its_certificates(desk: Desk) -> None:
    known = set(load_offices(desk.roll).by_code["H56.112"].__slots__)
    assert known - {column.field for column in COLUMNS} == {"certificates"}


def test_every_heading_means_one_column() -> None:
    for column in COLUMNS:
        assert {column_of(heading) for heading in (column.field, column.title, *column.also)} == {column}


# --- what is to be mended -----------------------------------------------------------


def test_everything_that_is_wrong_is_said_at_once_with_its_place(desk: Desk) -> None:
    header = [
        "Mã định danh",
        "Tên đơn vị",
        "Cấp",
        "Trạng thái",
        "Hoạt động từ ngày",
        "Mã đơn vị hành chính",
        "Màu",
        "cấp trên",
    ]
    found = desk.slips(
        header,
        ["H56.113", "UBND xã mẫu (ví dụ)", "quân khu", "ngủ", "31/2/2025", "14758A", "đỏ", "H56.77"],
        ["H56.114", "", "commune", "", "", "", "", ""],
        ["h56", "UBND xã mẫu (ví dụ)", "commune", "", "", "", "", ""],
        ["", "UBND xã mẫu (ví dụ)", "commune", "", "", "", "", ""],
        ["H56.113", "UBND xã hai (ví dụ)", "commune", "", "", "", "", ""],
    )
    pattern = next(en for row, _, en in found if row == 4)
    assert pattern.startswith("String should match pattern")
    assert found == [
        (1, "Màu", "there is no column “Màu”"),
        (2, "Cấp", "there is no value “quân khu”"),
        (2, "Hoạt động từ ngày", "“31/2/2025” is not a day"),
        (2, "Mã đơn vị hành chính", "String should match pattern '^[0-9]{2,5}$'"),
        (2, "Trạng thái", "there is no value “ngủ”"),
        (3, "Tên đơn vị", "must not be empty"),
        (4, "Mã định danh", pattern),
        (5, "Mã định danh", "must not be empty"),
        (6, "Mã định danh", "code H56.113 stands in row 2 already"),
    ]


def test_each_slip_says_how_to_mend_it(desk: Desk) -> None:
    planned = desk.plan(["code", "tier", "opened_on"], ["H56.112", "army", "hôm qua"])
    assert [slip.mend_en for slip in planned.slips] == [
        "choose one of: axis, commune",
        "write it as 01/07/2025 or 2025-07-01",
    ]
    assert [slip.mend_vi for slip in planned.slips] == [
        "chọn một trong: axis, commune", "viết như 01/07/2025 hoặc 2025-07-01"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([["name"], ["UBND xã mẫu (ví dụ)"]], (1, None, "lacks the column code")),
        ([["code", "mã"], ["H56.112", "H56.112"]], (1, "mã", "the column occurs twice")),
        ([["code", "name"], ["H56.113", "UBND xã mẫu (ví dụ)"]], (2, "Cấp", "Field required")),
        ([["code", "parent"], ["H56.112", "H56.77"]], (2, None, "parent H56.77 is not in the roll")),
        ([["code", "name", "tier"], ["000.12.31.H56", "UBND xã mẫu (ví dụ)", "commune"]],
         (2, None, "identifier 000.12.31.H56 means more than one office")),
        ([["code", "status", "closed_on", "after_closing"], ["H56.112", "closed", "2025-07-01", "forward"]],
         (2, None, "forwards to whom? It needs exactly one of successors, or forward_to that names them")),
    ],
)  # fmt: skip
def test_what_only_the_whole_roll_shows_is_said_at_the_row(
    desk: Desk, lines: list[list[str]], expected: tuple[int, str | None, str]
) -> None:
    assert expected in desk.slips(*lines)


def test_alias_that_was_another_offices_is_refused(desk: Desk) -> None:
    found = desk.slips(
        ["code", "name", "tier", "code102"],
        ["H56.112", "UBND phường Hàm Rồng (ví dụ)", "commune", ""],
        ["H56.113", "UBND xã mẫu (ví dụ)", "commune", "000.12.31.H56"],
    )
    assert found == [(None, None, "000.12.31.H56: meant H56.112 before and would mean H56.113")]


def test_roll_that_is_no_roll_gets_nothing(desk: Desk) -> None:
    planned = desk.plan(["code"], ["H56.112"], roll="[tiers\n")
    assert planned.text is None
    assert planned.slips[0].en.startswith("offices.toml: is not TOML: ")
