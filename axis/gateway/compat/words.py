"""Words: which of their words stands for which of ours. Tables, and nothing else.

`NUMBERS` is what clients of such an axis know. Each code of our catalogue has
one of them, by itself, by its rule or by its family; what is tried again has
none, because clients give a message up that was answered with any number.

Spec: docs/protocol/compat.md 5 to 7; docs/adr/0026.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from axis.dispatch.states import State
from axis.errors import CATALOGUE
from axis.receipts import Level

OK = 0
REST = 20  # Of a code for which they have no word.

# What each number means to them.
NUMBERS: Mapping[int, tuple[str, str]] = {
    OK: ("Thành công", "Done"),
    10: ("Tệp không hợp lệ", "The file is not valid"),
    15: ("Sai SystemId hoặc SecretKey", "SystemId or SecretKey is wrong"),
    18: ("Đơn vị nhận không tồn tại", "There is no such addressee"),
    19: ("Đơn vị gửi chưa đăng ký", "The originator is not registered"),
    REST: ("Trục không thực hiện được", "The axis cannot do it"),
    21: ("Lỗi xử lý tệp", "A file cannot be processed"),
    22: ("Không đúng định dạng edXML", "Not of the form of edXML"),
    23: ("Đơn vị nhận đã khóa", "The addressee is locked"),
}

# A code, or a family of them with its dot; the longest that fits decides.
_OF_CODES: Mapping[str, int] = {
    "ENV.": 22,
    "ENV.TOO_LARGE": 10,
    "ENV.ENCODING": 10,
    "ENV.NOT_WELL_FORMED": 10,
    "ENV.DTD": 10,
    "ENV.COMMENT_OR_PI": 10,
    "ENV.TOO_COMPLEX": 10,
    "SIG.": 10,
    "KEY.": 19,
    "ATT.": 21,
    "CON.": 22,
    "RULE.": 22,
    "MSG.CONFLICT": 10,
    "MSG.TASK": 22,
    "MSG.UNKNOWN_ADDRESSEE": 18,
    "MSG.EMPTY_GROUP": 18,
    "MSG.CLOSED_ADDRESSEE": 23,
    "MSG.NOT_ALLOWED": 23,
    "MSG.WRONG_SENDER": 19,
    "API.": REST,
    "API.AUTH": 15,
    "RCT.": REST,
    "ORD.": REST,
    "DLV.": REST,
    "CFG.": REST,
}
_OF_RULES: Mapping[str, int] = {"route:originator-": 19}  # Beginnings; they go before the code.


def number_of(code: str, rule: str = "") -> int | None:
    """Return their number for a violation; None where trying again may help."""
    if CATALOGUE[code].kind == "transient":
        return None
    for beginning, number in _OF_RULES.items():
        if rule.startswith(beginning):
            return number
    return _OF_CODES.get(code) or _OF_CODES[f"{code.partition('.')[0]}."]


# Where a delivery stands, in the four words that they have for it.
STATES: Mapping[State, str] = {
    State.QUEUED: "initial",
    State.SENT: "initial",
    State.DEFERRED: "processing",
    State.DEAD: "processing",  # A person is at it.
    State.HELD: "processing",  # The same.
    State.DELIVERED: "done",
    State.REFUSED: "fail",
    State.RECALLED: "fail",
    State.EXPIRED: "fail",
    State.FORWARDED: "done",  # For its addressee: its successors have a delivery each.
}
STATE_WORDS: Mapping[str, str] = {
    "initial": "Chờ nhận",
    "processing": "Chưa nhận được, đang thử lại hoặc chờ xử lý",
    "done": "Đã nhận",
    "fail": "Không nhận",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What an office says with a status."""

    level: Level
    status_code: str  # Of edXML.


_ARRIVED, _NOT_TAKEN = Said(Level.DELIVERED, "01"), Said(Level.REFUSED, "02")

# What updateStatus may bring, in their words or as a status of the clerks. None: nothing that would have to be kept.
STATUSES: Mapping[str, Said | None] = {
    "initial": None,
    "processing": None,
    "done": _ARRIVED,
    "fail": _NOT_TAKEN,
    "01": _ARRIVED,
    "02": _NOT_TAKEN,
    "03": Said(Level.REGISTERED, "03"),
    "04": Said(Level.PROGRESS, "04"),
    "05": Said(Level.PROGRESS, "05"),
    "06": Said(Level.PROGRESS, "06"),
}
