"""Sheets: CSV and XLSX as rows of text, each with its number, and back.

A file comes from anybody's mail, so its size is bounded before it is read and
nothing in it is computed: a formula is a slip, not a value. A text that a
spreadsheet would take for a formula is written with an apostrophe before it,
which is taken off again when it is read.

Spec: RFC 4180 (CSV); ECMA-376 (XLSX). Only the first sheet of a workbook is read.
"""

import csv
import io
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

MOST_FILE_BYTES = 10 * 1024 * 1024
MOST_UNPACKED_BYTES = 64 * 1024 * 1024  # Of all parts of a workbook.
MOST_PARTS = 1000
MOST_ROWS = 20_000
MOST_COLUMNS = 64

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # How a text begins that spreadsheets compute.
_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Slip:
    """One thing in a table that a person must mend."""

    row: int | None  # As the spreadsheet counts, 1 is the header; None: the file.
    column: str | None  # As the header has it.
    vi: str
    en: str
    mend_vi: str
    mend_en: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file holds: a header, and the rows that are not empty, by number."""

    header: tuple[str, ...]
    rows: Mapping[int, tuple[str, ...]]


def read_sheet(path: Path) -> tuple[Sheet, list[Slip]]:
    """Read a table; what cannot be read is a slip."""
    readers: dict[str, Callable[[bytes], tuple[list[list[str]], list[Slip]]]] = {".csv": _csv, ".xlsx": _xlsx}
    read = readers.get(path.suffix.lower())
    if read is None:
        return _nothing("không phải .csv hoặc .xlsx", "is neither .csv nor .xlsx", *_SAVE_AS)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        return _nothing(f"không đọc được: {reason}", f"cannot be read: {reason}", "chọn tệp khác", "take another file")
    if len(content) > MOST_FILE_BYTES:
        return _nothing("lớn hơn 10 MiB", "is larger than 10 MiB", *_SPLIT)
    lines, slips = read(content)
    if len(lines) > MOST_ROWS:
        return _nothing(f"nhiều hơn {MOST_ROWS} dòng", f"has more than {MOST_ROWS} rows", *_SPLIT)
    if not lines and not slips:
        return _nothing("trống", "is empty", "thêm dòng tiêu đề", "give it a header")
    header = tuple(lines[0]) if lines else ()
    rows = {number: tuple(cells) for number, cells in enumerate(lines[1:], 2) if any(cells)}
    return Sheet(header, rows), slips


def write_sheet(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table, in the form that the name of the file says.

    Raises:
        ValueError: The name ends neither in .csv nor in .xlsx.
        OSError: It cannot be written.
    """
    writers = {".csv": _write_csv, ".xlsx": _write_xlsx}
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path.name}: .csv, .xlsx")
    writers[path.suffix.lower()](path, header, [[_guarded(cell) for cell in row] for row in rows])


_SAVE_AS = ("lưu lại thành .xlsx, hoặc CSV UTF-8", "save it as .xlsx, or as CSV UTF-8")
_SPLIT = ("chia thành nhiều tệp nhỏ hơn", "split it into smaller files")
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, ParseError, KeyError, ValueError, TypeError, AttributeError, IndexError, OSError,
    EOFError, NotImplementedError,
)  # fmt: skip


def _nothing(vi: str, en: str, mend_vi: str, mend_en: str) -> tuple[Sheet, list[Slip]]:
    return Sheet((), {}), [_of_file(vi, en, mend_vi, mend_en)]


def _of_file(vi: str, en: str, mend_vi: str, mend_en: str) -> Slip:
    return Slip(None, None, f"tệp {vi}", f"the file {en}", mend_vi, mend_en)


def _clean(text: str) -> str:
    """Return text as one line in NFC: how Vietnamese letters are composed must not make two words of one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") else text


def _formula(row: int, column: str) -> Slip:
    return Slip(
        row,
        column,
        "là công thức, không phải giá trị",
        "is a formula, not a value",
        "dán lại dạng giá trị; nếu là chữ, thêm dấu ' ở đầu",
        "paste it as a value; if it is text, put ' before it",
    )


# --- CSV --------------------------------------------------------------------------


def _csv(content: bytes) -> tuple[list[list[str]], list[Slip]]:
    try:
        if content.startswith(_BOMS):
            raise UnicodeDecodeError("utf-8", content, 0, 2, "UTF-16")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [], [_of_file("không phải UTF-8", "is not UTF-8", *_SAVE_AS)]
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines: list[list[str]] = []
    slips: list[Slip] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(lines) > MOST_ROWS:
                break
            raw = [_clean(cell) for cell in cells[:MOST_COLUMNS]]
            header = lines[0] if lines else raw
            slips += [
                _formula(len(lines) + 1, _heading(header, at))
                for at, cell in enumerate(raw)
                if cell.startswith(_FORMULA)
            ]
            lines.append(["" if cell.startswith(_FORMULA) else _unguarded(cell) for cell in raw])
    except csv.Error as problem:
        return [], [_of_file(f"không phải CSV: {problem}", f"is not CSV: {problem}", *_SAVE_AS)]
    return lines, slips


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # With a byte order mark: without one, spreadsheets take UTF-8 for something else.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _heading(header: Sequence[str], at: int) -> str:
    """Return how a person finds a column: its heading, or its letter."""
    named = header[at] if at < len(header) else ""
    return named or _letters(at)


def _letters(at: int) -> str:
    tens, ones = divmod(at, 26)
    return (_letters(tens - 1) if tens else "") + chr(ord("A") + ones)


# --- XLSX -------------------------------------------------------------------------


def _xlsx(content: bytes) -> tuple[list[list[str]], list[Slip]]:
    try:
        _require_small(content)
        return _cells(content)
    except _TooLargeError as problem:
        return [], [_of_file(f"giải nén quá lớn: {problem}", f"unpacks to too much: {problem}", *_SPLIT)]
    except _UNREADABLE as problem:
        kind = type(problem).__name__
        return [], [_of_file(f"không phải XLSX ({kind})", f"is not XLSX ({kind})", *_SAVE_AS)]


class _TooLargeError(Exception):
    """A workbook that says it will fill the memory."""


def _require_small(content: bytes) -> None:
    """Refuse a zip bomb, and XML that defines entities.

    What a part says about its size is what is unpacked of it at most: zipfile reads no further.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = packed.infolist()
        total = sum(part.file_size for part in parts)
        if total > MOST_UNPACKED_BYTES or len(parts) > MOST_PARTS:
            raise _TooLargeError(f"{total} bytes, {len(parts)} parts")
        for part in parts:
            if part.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in packed.read(part).replace(b"\0", b""):
                raise ValueError(part.filename)


def _cells(content: bytes) -> tuple[list[list[str]], list[Slip]]:
    from openpyxl import load_workbook  # A second of work, which only this command needs.

    lines: list[list[str]] = []
    slips: list[Slip] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of what a workbook has besides cells.
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            for cells in sheet.iter_rows(max_row=MOST_ROWS + 1, max_col=MOST_COLUMNS):
                header = lines[0] if lines else [_text(cell.value) for cell in cells]
                computed = {at for at, cell in enumerate(cells) if cell.data_type == "f"}
                slips += [_formula(len(lines) + 1, _heading(header, at)) for at in sorted(computed)]
                texts = ["" if at in computed else _unguarded(_text(cell.value)) for at, cell in enumerate(cells)]
                lines.append(_shortened(texts))
        finally:
            book.close()
    # What lies behind the limit fills up the lines to there: it is counted, not dropped.
    while len(lines) <= MOST_ROWS and lines and not any(lines[-1]):
        lines.pop()
    return lines, slips


def _shortened(cells: list[str]) -> list[str]:
    """Return cells without the empty ones at the end, which a workbook has as many of as it likes."""
    return cells[: next((at for at in range(len(cells), 0, -1) if cells[at - 1]), 0)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # A spreadsheet knows one kind of number.
    return _clean(str(value))


def _write_xlsx(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Đơn vị"
    for line in (header, *rows):
        sheet.append(list(line))
    for cell in _all(sheet.iter_rows()):
        cell.number_format = "@"  # Text: a code is not a number, a day is written one way only.
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for at, _ in enumerate(header):
        widest = max(len(str(line[at])) for line in (header, *rows))
        sheet.column_dimensions[get_column_letter(at + 1)].width = min(max(widest + 2, 10), 60)
    sheet.freeze_panes = "C2"
    book.save(path)


def _all(lines: Any) -> Iterator[Any]:
    for line in lines:
        yield from line
