"""Tables as files: CSV and XLSX, and what nobody should send."""

import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from axis.registry import sheets
from axis.registry.sheets import read_sheet, write_sheet

HEADER = ("Mã định danh", "Tên đơn vị")


def workbook(path: Path, *lines: list[Any]) -> Path:
    book = Workbook()
    for line in lines:
        book.worksheets[0].append(line)
    book.save(path)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def repacked(path: Path, **parts: bytes) -> Path:
    """Return a workbook in which parts are replaced or added, named by their file's stem."""
    source = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.pop(Path(name).stem, old.read(name)))
        for name, content in parts.items():
            new.writestr(f"xl/{name}.xml", content)
    return path


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_as_spreadsheets_write_it(tmp_path: Path, bom: bytes, delimiter: str, end: str) -> None:
    lines = [
        delimiter.join(HEADER),
        delimiter.join(("H56.1", '"UBND xã  Mẫu\nmột"')),
        "",
        delimiter.join(("H56.2", "")),
    ]
    sheet, slips = read_sheet(written(tmp_path / "a.csv", bom + end.join(lines).encode()))
    assert slips == []
    assert sheet.header == HEADER
    assert sheet.rows == {2: ("H56.1", "UBND xã Mẫu một"), 4: ("H56.2", "")}


def test_letters_are_composed(tmp_path: Path) -> None:
    sheet, _ = read_sheet(written(tmp_path / "a.csv", "Tên\nUBND xã Mẫu".encode()))
    assert sheet.rows == {2: ("UBND xã Mẫu",)}


def test_xlsx_is_read_whatever_the_cells_are(tmp_path: Path) -> None:
    day, moment = date(2025, 7, 1), datetime(2025, 7, 1, 0, 0)  # noqa: DTZ001
    path = workbook(tmp_path / "a.xlsx", [*HEADER, "x"], ["H56.1", 14758, day], [], ["H56.2", 14758.0, moment], [None])
    sheet, slips = read_sheet(path)
    assert slips == []
    assert sheet.header == (*HEADER, "x")
    assert sheet.rows == {2: ("H56.1", "14758", "2025-07-01"), 4: ("H56.2", "14758", "2025-07-01")}


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_what_is_written_reads_back_equal(tmp_path: Path, name: str) -> None:
    rows = [["H56.1", "UBND xã “Mẫu”, số 1; hai"], ["00123", "=1+1"], ["-2", "'@SUM(A1)"], ["+84", ""]]
    write_sheet(tmp_path / name, HEADER, rows)
    sheet, slips = read_sheet(tmp_path / name)
    assert slips == []
    assert sheet.header == HEADER
    assert [list(row) + [""] * (2 - len(row)) for row in sheet.rows.values()] == rows


def test_nothing_that_is_written_is_a_formula(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.xlsx", HEADER, [["=HYPERLINK(1)", "@x"]])
    cells = load_workbook(tmp_path / "a.xlsx").worksheets[0][2]
    assert [(cell.value, cell.data_type, cell.number_format) for cell in cells] == [
        ("'=HYPERLINK(1)", "s", "@"), ("'@x", "s", "@")
    ]  # fmt: skip
    write_sheet(tmp_path / "a.csv", HEADER, [["=HYPERLINK(1)", "@x"]])
    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()[1] == "'=HYPERLINK(1),'@x"


def test_formula_is_a_slip_at_its_place(tmp_path: Path) -> None:
    rows = [list(HEADER), ["H56.1", "=A1"], ["=1+1", "b"]]
    for path in (
        workbook(tmp_path / "a.xlsx", *rows),
        written(tmp_path / "a.csv", "\n".join(",".join(row) for row in rows).encode()),
    ):
        sheet, slips = read_sheet(path)
        assert [(slip.row, slip.column, slip.en) for slip in slips] == [
            (2, "Tên đơn vị", "is a formula, not a value"),
            (3, "Mã định danh", "is a formula, not a value"),
        ]
        assert [row[0] for row in sheet.rows.values()] == ["H56.1", ""]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xls", b"", "the file is neither .csv nor .xlsx"),
        ("a.csv", "Mã".encode("utf-16"), "the file is not UTF-8"),
        ("a.csv", "Tên\nMẫu".encode("cp1258", "ignore") + b"\xff", "the file is not UTF-8"),
        ("a.csv", b'a\n"b', "the file is not CSV: unexpected end of data"),
        ("a.csv", b"", "the file is empty"),
        ("a.xlsx", b"", "the file is not XLSX (BadZipFile)"),
        ("a.xlsx", b"PK\3\4 no", "the file is not XLSX (BadZipFile)"),
        ("a.csv", b"a\n" + b"b\n" * 20_001, "the file has more than 20000 rows"),
        ("a.csv", b"a" * (10 * 1024 * 1024 + 1), "the file is larger than 10 MiB"),
    ],
)
def test_file_that_cannot_be_read_is_a_slip(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    sheet, slips = read_sheet(written(tmp_path / name, content))
    assert (sheet.rows, [slip.en for slip in slips]) == ({}, [said])


def test_absent_file_names_no_folder(tmp_path: Path) -> None:
    (slip,) = read_sheet(tmp_path / "a.csv")[1]
    assert slip.en == "the file cannot be read: No such file or directory"


def test_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = repacked(workbook(tmp_path / "a.xlsx", list(HEADER)), bomb=b"\0" * (sheets.MOST_UNPACKED_BYTES + 1))
    assert path.stat().st_size < 100_000
    (slip,) = read_sheet(path)[1]
    assert slip.en.startswith("the file unpacks to too much: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_workbook_that_defines_entities_is_not_read(tmp_path: Path, encoding: str) -> None:
    xml = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    path = repacked(workbook(tmp_path / "a.xlsx", list(HEADER)), sheet1=xml.encode(encoding))
    assert [slip.en for slip in read_sheet(path)[1]] == ["the file is not XLSX (ValueError)"]


def test_row_that_stands_a_million_rows_below_is_too_many(tmp_path: Path) -> None:
    far = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row>'
    plain = workbook(tmp_path / "a.xlsx", list(HEADER))
    with zipfile.ZipFile(plain) as packed:
        xml = packed.read("xl/worksheets/sheet1.xml")
    sheet, slips = read_sheet(repacked(plain, sheet1=xml.replace(b"</sheetData>", far + b"</sheetData>")))
    assert (sheet.rows, [slip.en for slip in slips]) == ({}, ["the file has more than 20000 rows"])


def test_name_decides_the_form(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="csv"):
        write_sheet(tmp_path / "a.pdf", HEADER, [])
