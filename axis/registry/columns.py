"""Columns: what a table of offices says, in which words, and how that stands in the roll.

A clerk writes Vietnamese headings and days as 01/07/2025; a program writes the
names of the roll. Both are read; what is written carries Vietnamese headings
and the words of the roll. A column that is not there changes nothing, a cell
that is empty takes the value away.

Spec: config/offices.toml (the fields); docs/protocol/registry.md 10.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from axis.edxml.dialects import DIALECTS
from axis.registry.model import AfterClosing, Channel, Office, Status, Unsigned

Value = str | date | list[str]


@dataclass(frozen=True, slots=True)
class Words:
    """A value that cannot be read, and what could be written instead."""

    vi: str
    en: str
    mend_vi: str
    mend_en: str


Tiers = Mapping[str, str]  # Word of a tier: its name.


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    field: str  # Of an office, as in offices.toml.
    title: str  # How it is headed when it is written.
    read: Callable[[str, Tiers], Value | Words]
    also: tuple[str, ...] = ()  # Further headings that mean it.
    required: bool = False


def folded(text: str) -> str:
    """Return text as headings and words are compared: without case, diacritics, and marks."""
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    letters = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[a-z0-9]+", letters))


def column_of(heading: str) -> Column | None:
    """Return the column that a heading means."""
    return _BY_HEADING.get(folded(heading))


def row_of(office: Office) -> list[str]:
    """Return the cells of an office, in the order of COLUMNS."""
    return [_written(getattr(office, column.field)) for column in COLUMNS]


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return "; ".join(value) if isinstance(value, tuple) else str(value)


# --- how cells are read -----------------------------------------------------------


def _text(cell: str, _tiers: Tiers) -> Value:
    return cell


def _list(cell: str, _tiers: Tiers) -> Value:
    return [part for part in re.split(r"[;,\s]+", cell) if part]


def _day(cell: str, _tiers: Tiers) -> Value | Words:
    for pattern, order in _DAYS:
        found = pattern.fullmatch(cell)
        if found is not None:
            try:
                return date(*(int(found[part]) for part in order))
            except ValueError:
                break
    return Words(
        f"“{cell}” không phải là ngày",
        f"“{cell}” is not a day",
        "viết như 01/07/2025 hoặc 2025-07-01",
        "write it as 01/07/2025 or 2025-07-01",
    )


_DAYS = (
    (re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"), (1, 2, 3)),
    (re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})"), (3, 2, 1)),
)


def _one_of(words: Mapping[str, str]) -> Callable[[str, Tiers], Value | Words]:
    """Return a reader of words of the roll, or of what people say for them."""

    def read(cell: str, _tiers: Tiers) -> Value | Words:
        found = words.get(folded(cell))
        return _no_such(cell, sorted(set(words.values()))) if found is None else found

    return read


def _tier(cell: str, tiers: Tiers) -> Value | Words:
    """Read the word of a tier, or its name."""
    if cell in tiers:
        return cell
    named = [word for word, name in tiers.items() if folded(name) == folded(cell)]
    return named[0] if len(named) == 1 else _no_such(cell, sorted(tiers))


def _no_such(cell: str, known: Sequence[str]) -> Words:
    choice = ", ".join(known)
    return Words(
        f"không có giá trị “{cell}”",
        f"there is no value “{cell}”",
        f"chọn một trong: {choice}",
        f"choose one of: {choice}",
    )


_STATUSES = {
    "active": Status.ACTIVE.value,
    "dang hoat dong": Status.ACTIVE.value,
    "hoat dong": Status.ACTIVE.value,
    "suspended": Status.SUSPENDED.value,
    "tam dung": Status.SUSPENDED.value,
    "closed": Status.CLOSED.value,
    "da dong": Status.CLOSED.value,
    "da giai the": Status.CLOSED.value,
    "ngung hoat dong": Status.CLOSED.value,
    "ket thuc hoat dong": Status.CLOSED.value,
}
_CLOSINGS = {
    "reject": AfterClosing.REJECT.value,
    "tu choi": AfterClosing.REJECT.value,
    "forward": AfterClosing.FORWARD.value,
    "chuyen tiep": AfterClosing.FORWARD.value,
    "hold": AfterClosing.HOLD.value,
    "giu lai": AfterClosing.HOLD.value,
}
_CHANNELS = {"amqp": Channel.AMQP.value, "http": Channel.HTTP.value}

_UNSIGNED = {
    "refuse": Unsigned.REFUSE.value,
    "tu choi": Unsigned.REFUSE.value,
    "accept": Unsigned.ACCEPT.value,
    "nhan": Unsigned.ACCEPT.value,
    "chap nhan": Unsigned.ACCEPT.value,
}

COLUMNS: tuple[Column, ...] = (
    Column("code", "Mã định danh", _text, ("mã", "mã đơn vị", "OrganId"), required=True),
    Column("name", "Tên đơn vị", _text, ("tên", "tên cơ quan"), required=True),
    Column("tier", "Cấp", _tier, ("cấp đơn vị",), required=True),
    Column("unit_code", "Mã đơn vị hành chính", _text, ("mã ĐVHC",)),
    Column("code102", "Mã QCVN 102", _text, ("mã định danh QCVN 102",)),
    Column("aliases", "Mã khác", _list, ("mã cũ", "bí danh")),
    Column("parent", "Đơn vị cấp trên", _text, ("cấp trên", "trực thuộc")),
    Column("status", "Trạng thái", _one_of(_STATUSES)),
    Column("opened_on", "Hoạt động từ ngày", _day, ("ngày hoạt động", "từ ngày", "from")),
    Column("closed_on", "Ngừng hoạt động từ ngày", _day, ("ngày đóng", "ngày giải thể", "đến ngày", "until")),
    Column("successors", "Đơn vị kế thừa", _list, ("kế thừa",)),
    Column("after_closing", "Sau khi đóng", _one_of(_CLOSINGS)),
    Column("forward_to", "Chuyển tiếp tới", _list),
    Column("fields", "Lĩnh vực", _list),
    Column("channel", "Kênh nhận", _one_of(_CHANNELS), ("kênh",)),
    Column("adapter", "Bộ nối", _text, ("loại bộ nối",)),
    Column("dialect", "Mẫu gói tin cũ", _one_of({name: name for name in DIALECTS}), ("mẫu cũ",)),
    Column("unsigned", "Gói tin không ký", _one_of(_UNSIGNED)),
)
BY_FIELD: Mapping[str, Column] = {column.field: column for column in COLUMNS}
_BY_HEADING = {folded(heading): column for column in COLUMNS for heading in (column.field, column.title, *column.also)}
