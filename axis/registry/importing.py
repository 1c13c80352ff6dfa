"""Import: rows of a table become offices of a roll, all of them or none.

A row is known by its code. An office that the roll has is changed where the row
says something else, one that it lacks is added, and nothing is ever removed.
What a person wrote into the roll besides - comments, rules, groups - stays. The
roll that would come of it is checked as a whole before anything is written, so
that one run names everything that is to be mended.

Spec: docs/protocol/registry.md 1, 10.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from axis.registry.columns import BY_FIELD, COLUMNS, Column, Value, Words, column_of
from axis.registry.file import check_offices
from axis.registry.findings import Finding
from axis.registry.model import DEFAULTS
from axis.registry.replacement import check_replacement
from axis.registry.sheets import Sheet, Slip, read_sheet


@dataclass(frozen=True, slots=True)
class Change:
    """What a row would change about its office."""

    row: int
    code: str
    is_new: bool
    fields: Mapping[str, tuple[Any, Any]]  # Before and after, by name.


@dataclass(frozen=True, slots=True)
class Import:
    """What would come of a table."""

    text: str | None  # The roll as it would be; None if anything is to be mended.
    changes: tuple[Change, ...]
    slips: tuple[Slip, ...]
    warnings: tuple[Finding, ...]  # Odd about the offices of the table.


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    code: str
    values: Mapping[str, Value | None]  # By field; None: the cell is empty.


def plan_import(table: Path, roll: Path, *, at: datetime) -> Import:
    """Say what a table would change in a roll, and what is wrong with it; writes nothing.

    Args:
        table: CSV or XLSX.
        roll: The file of the roll.
        at: Now.
    """
    before, findings = check_offices(roll)
    document = _document(roll)
    if document is None:  # The check has said why.
        return Import(None, (), tuple(_of_roll(one) for one in findings if one.is_error), ())
    tiers = {str(word): str(tier["name"]) for word, tier in document["tiers"].items()}
    sheet, slips = read_sheet(table)
    rows, wrong = _read(sheet, tiers)
    changes = tuple(_merge(rows, document))
    text = document.as_string()
    after, findings = check_offices(roll, at=at, text=text)
    # A roll that only lacks offices is not in order before, and is afterwards.
    found = [*findings, *(check_replacement(before, after) if before is not None and after is not None else ())]
    numbers = {row.code: row.number for row in rows}
    slips += _beside((_of_finding(one, numbers) for one in found if one.is_error), [*slips, *wrong])
    slips = sorted([*slips, *wrong], key=lambda slip: (slip.row or 0, slip.column or ""))
    odd = tuple(one for one in found if not one.is_error and _code(one) in numbers)
    return Import(None if slips else text, changes, tuple(slips), odd)


def _document(roll: Path) -> Any:
    """Return the roll as something to write in, with its comments; None if it has no shape to write in."""
    import tomlkit  # An eighth of a second, which only this command needs.

    try:
        document: Any = tomlkit.parse(roll.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if "offices" not in document:
        document["offices"] = tomlkit.aot()
    tiers, offices = document.get("tiers"), document["offices"]
    fits = isinstance(tiers, dict) and all(isinstance(tier, dict) and "name" in tier for tier in tiers.values())
    return document if fits and isinstance(offices, tomlkit.items.AoT) else None


def _beside(found: Iterable[Slip], known: Sequence[Slip]) -> list[Slip]:
    """Return slips but those at a place where there is one already: what could not be read is missing, too."""
    places = {(slip.row, slip.column) for slip in known if slip.column is not None}
    return [slip for slip in found if (slip.row, slip.column) not in places]


# --- rows -------------------------------------------------------------------------


def _read(sheet: Sheet, tiers: Mapping[str, str]) -> tuple[list[_Row], list[Slip]]:
    columns, slips = _columns(sheet)
    if not any(column.field == "code" for column in columns.values()):
        if sheet.header:
            slips.append(_slip(1, None, "thiếu cột Mã định danh", "lacks the column code", *_HEADINGS))
        return [], slips
    rows: dict[str, _Row] = {}
    for number, cells in sheet.rows.items():
        row, wrong = _row(number, cells, columns, tiers)
        slips += wrong
        if row is not None and row.code in rows:
            first = rows[row.code].number
            slips.append(
                _slip(
                    number,
                    BY_FIELD["code"].title,
                    f"mã {row.code} đã có ở dòng {first}",
                    f"code {row.code} stands in row {first} already",
                    "xóa một trong hai dòng",
                    "remove one of the two rows",
                )
            )
        elif row is not None:
            rows[row.code] = row
    return list(rows.values()), slips


def _columns(sheet: Sheet) -> tuple[dict[int, Column], list[Slip]]:
    """Return what each column means, by its place."""
    columns: dict[int, Column] = {}
    slips: list[Slip] = []
    for at, heading in enumerate(sheet.header):
        column = column_of(heading)
        if column is None and (heading or any(at < len(cells) and cells[at] for cells in sheet.rows.values())):
            slips.append(_slip(1, heading, f"không có cột “{heading}”", f"there is no column “{heading}”", *_HEADINGS))
        elif column is not None and column in columns.values():
            slips.append(
                _slip(
                    1, heading, "cột bị lặp", "the column occurs twice", "bỏ một trong hai cột", "remove one of the two"
                )
            )
        elif column is not None:
            columns[at] = column
    return columns, slips


def _row(
    number: int, cells: Sequence[str], columns: Mapping[int, Column], tiers: Mapping[str, str]
) -> tuple[_Row | None, list[Slip]]:
    values: dict[str, Value | None] = {}
    slips: list[Slip] = []
    for at, column in columns.items():
        cell = cells[at] if at < len(cells) else ""
        value = column.read(cell, tiers) if cell else None
        if isinstance(value, Words):
            slips.append(_slip(number, column.title, value.vi, value.en, value.mend_vi, value.mend_en))
        elif value is None and column.required:
            slips.append(
                _slip(
                    number, column.title, "không được để trống", "must not be empty", "điền giá trị", "give it a value"
                )
            )
        else:
            values[column.field] = value
    code = values.get("code")
    return (_Row(number, code, values) if isinstance(code, str) else None), slips


_HEADINGS = (
    f"dùng các cột: {', '.join(column.title for column in COLUMNS)}",
    f"use the columns: {', '.join(column.field for column in COLUMNS)}",
)


def _slip(row: int | None, column: str | None, vi: str, en: str, mend_vi: str, mend_en: str) -> Slip:
    return Slip(row, column, vi, en, mend_vi, mend_en)


# --- into the roll ----------------------------------------------------------------


def _merge(rows: Sequence[_Row], document: Any) -> Iterator[Change]:
    """Put rows into the roll; yield what each changes."""
    import tomlkit

    offices = document["offices"]
    entries = {str(entry.get("code")): entry for entry in offices}
    for row in rows:
        is_new = row.code not in entries
        entry = tomlkit.table() if is_new else entries[row.code]
        changed = dict(_changed(row, entry))
        if is_new:
            _set(entry, {field: row.values[field] for field in changed})
            _append(offices, entry)
        elif changed:
            tail = _without_tail(entry)
            _set(entry, {field: row.values[field] for field in changed})
            _add_tail(entry, tail)
        if is_new or changed:
            yield Change(row.number, row.code, is_new, changed)


def _changed(row: _Row, entry: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for field, value in row.values.items():
        default = DEFAULTS.get(field)
        before, after = _plain(entry.get(field, default)), _plain(default if value is None else value)
        if before != after:
            yield field, (before, after)


def _plain(value: Any) -> Any:
    """Return a value as it compares and prints, whether it is of the roll's file, a default or a cell."""
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    if value is MISSING or value is None:
        return None
    return date(value.year, value.month, value.day) if isinstance(value, date) else str(value)


def _set(entry: Any, values: Mapping[str, Value | None]) -> None:
    for field in BY_FIELD:
        if field not in values:
            continue
        value = values[field]
        if value is not None:
            entry[field] = value
        elif field in entry:
            entry.remove(field)


def _append(offices: Any, entry: Any) -> None:
    """Add an office behind the last one; what stands between that and the next section stays between them."""
    import tomlkit

    tail = _without_tail(offices[-1]) if len(offices) else []
    if len(offices):
        offices[-1].add(tomlkit.nl())
    offices.append(entry)
    _add_tail(offices[-1], tail or [tomlkit.nl()])


def _without_tail(table: Any) -> list[Any]:
    """Take off and return the comments and blank lines at the end of a table: they belong to what follows."""
    body = table.value.body
    tail: list[Any] = []
    while body and body[-1][0] is None:
        tail.insert(0, body.pop()[1])
    return tail


def _add_tail(table: Any, tail: Sequence[Any]) -> None:
    for trivia in tail:
        table.add(trivia)


# --- what the check of the roll says, as slips ------------------------------------


def _code(finding: Finding) -> str:
    return finding.place.partition("] ")[2] or finding.place


def _of_finding(finding: Finding, numbers: Mapping[str, int]) -> Slip:
    """Return an error of the roll at the row that it is about."""
    row = numbers.get(_code(finding))
    if row is None:
        return _of_roll(finding)
    field, _, rest = finding.en.partition(": ")
    column = BY_FIELD.get(field.partition(".")[0]) if rest else None
    if column is None:
        return _slip(row, None, finding.vi, finding.en, *_MEND_ROW)
    return _slip(row, column.title, finding.vi.partition(": ")[2], rest, *_MEND_CELL)


def _of_roll(finding: Finding) -> Slip:
    return _slip(None, None, f"{finding.place}: {finding.vi}", f"{finding.place}: {finding.en}", *_MEND_ROLL)


_MEND_ROW = ("sửa dòng này, hoặc đơn vị mà nó nhắc tới", "mend this row, or the office that it speaks of")
_MEND_CELL = ("sửa ô này", "mend this cell")
_MEND_ROLL = ("sửa danh sách đơn vị (axis offices check)", "mend the roll (axis offices check)")
