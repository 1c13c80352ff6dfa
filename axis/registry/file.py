"""The roll as a file: `offices.toml`, checked as a whole.

Every error is reported with its place, not only the first: an administrator
corrects the file once. An entry that cannot be read is left out of the rest of
the check but still counts as known, so that one slip makes one error. An error
keeps the roll from being loaded; a warning does not.

Spec: config/offices.toml (the documented sample).
"""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axis.edxml.dialects import DIALECTS
from axis.edxml.values import ORGAN_ID
from axis.errors import PermanentError
from axis.registry.certificates import odd_certificates, read_certificates
from axis.registry.findings import Finding, error, warning
from axis.registry.model import AfterClosing, Channel, Group, Office, Registry, Rule, Status, Tier, Unsigned

MOST_ADDRESSEES = 5000  # Of one message: an acceptance has a word about each.
AXIS_TIER = "axis"  # The one tier that means something to the program: who signs for the axis, and gets no mail.

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_OrganId = Annotated[str, Field(pattern=rf"^(?:{ORGAN_ID.pattern})$", max_length=35)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Tier(_Entry):
    name: _Text
    rank: int = Field(ge=0, le=99)


class _Office(_Entry):
    code: _OrganId
    name: _Text
    tier: _Word
    code102: _OrganId | None = None
    aliases: tuple[_OrganId, ...] = ()
    parent: _OrganId | None = None
    status: Status = Status.ACTIVE
    opened_on: date | None = None
    closed_on: date | None = None
    successors: tuple[_OrganId, ...] = ()
    after_closing: AfterClosing = AfterClosing.REJECT
    forward_to: tuple[_OrganId, ...] = ()
    fields: tuple[_Word, ...] = ()
    unit_code: Annotated[str, Field(pattern=r"^[0-9]{2,5}$")] | None = None
    channel: Channel = Channel.AMQP
    adapter: _Word = "sdk"
    dialect: Literal[tuple(DIALECTS)] | None = None  # type: ignore[valid-type]  # Known when the program starts.
    unsigned: Unsigned = Unsigned.REFUSE
    certificates: tuple[str, ...] | None = (
        None  # Files, relative to this one; default: certs/<code>.pem if it is there.
    )


class _Rule(_Entry):
    name: _Word
    allow: bool
    sender: str = "*"
    addressee: str = "*"
    kind: Annotated[str, Field(pattern=r"^(\*|document|status)$")] = "*"
    because_vi: str = ""
    because_en: str = ""


class _Group(_Entry):
    code: _OrganId
    name: _Text
    members: tuple[_OrganId, ...] = ()
    tier: _Word | None = None
    parent: _OrganId | None = None
    field: _Word | None = None


class _File(_Entry):
    tiers: dict[_Word, _Tier]
    offices: tuple[_Office, ...]
    rules: tuple[_Rule, ...] = ()
    groups: tuple[_Group, ...] = ()


@dataclass(frozen=True, slots=True)
class _Placed:
    """An office with its place in the file."""

    place: str
    office: Office


def load_offices(path: Path) -> Registry:
    """Read a roll.

    Raises:
        PermanentError: CFG.INVALID, with every error.
    """
    registry, findings = check_offices(path)
    if registry is None:
        raise PermanentError("CFG.INVALID", "; ".join(f"{one.place}: {one.en}" for one in findings if one.is_error))
    return registry


def check_offices(
    path: Path, *, at: datetime | None = None, text: str | None = None
) -> tuple[Registry | None, tuple[Finding, ...]]:
    """Read a roll and say everything that is wrong or odd about it.

    Args:
        path: The file; certificates stand relative to its folder.
        at: Now, to say which certificates are out of date; None says nothing about that.
        text: What the file would hold; None: what it holds.

    Returns:
        The registry, or None if there is any error; and the findings, in the order of the file.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        return None, (error(path.name, f"không đọc được: {reason}", f"cannot be read: {reason}"),)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        return None, (error(path.name, f"không phải TOML: {problem}", f"is not TOML: {problem}"),)
    content, findings = _shape(raw)
    placed: list[_Placed] = []
    for number, entry in content.offices.items():
        place = f"offices[{number}] {entry.code}"
        names = _certificate_names(entry, path.parent)
        pems, unreadable = read_certificates(path.parent, names, place)
        findings += unreadable
        placed.append(_Placed(place, Office(**entry.model_dump(exclude={"certificates"}), certificates=pems)))
    findings += _across(placed, content, at)
    findings.sort(key=lambda found: _order(found.place))
    if any(found.is_error for found in findings):
        return None, tuple(findings)
    registry = Registry.of(
        (one.office for one in placed),
        (Tier(code, tier.name, tier.rank) for code, tier in content.tiers.items()),
        [Rule(**rule.model_dump()) for rule in content.rules.values()],
        (Group(**group.model_dump()) for group in content.groups.values()),
    )
    return registry, tuple(findings)


# --- the shape of each entry ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Content:
    """The entries that can be read, by their place, and the names that the others claim."""

    tiers: Mapping[str, _Tier]
    offices: Mapping[int, _Office]
    rules: Mapping[int, _Rule]
    groups: Mapping[int, _Group]
    tier_words: frozenset[str]
    organ_ids: frozenset[str]  # Of every office, also of those that cannot be read.
    group_ids: frozenset[str]  # Of every group, likewise.


def _shape(raw: Mapping[str, Any]) -> tuple[_Content, list[Finding]]:
    """Read what can be read; report each slip in the rest."""
    problems: list[Any] = []
    try:
        _File.model_validate(raw)
    except ValidationError as refused:
        problems = list(refused.errors())
    spoilt = {tuple(one["loc"][:2]) for one in problems} | {
        tuple(one["loc"][:1]) for one in problems if len(one["loc"]) < 2
    }
    tiers, offices, rules = _table(raw, "tiers"), _array(raw, "offices"), _array(raw, "rules")
    groups = _array(raw, "groups")
    content = _Content(
        tiers={word: _Tier.model_validate(tiers[word]) for word in tiers if ("tiers", word) not in spoilt},
        offices={at: _Office.model_validate(one) for at, one in enumerate(offices) if ("offices", at) not in spoilt},
        rules={at: _Rule.model_validate(one) for at, one in enumerate(rules) if ("rules", at) not in spoilt},
        groups={at: _Group.model_validate(one) for at, one in enumerate(groups) if ("groups", at) not in spoilt},
        tier_words=frozenset(tiers),
        organ_ids=frozenset(form for one in offices for form in _claimed(one)),
        group_ids=frozenset(form for one in groups for form in _claimed(one)),
    )
    return content, [_slip(one, raw) for one in problems]


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _array(raw: Mapping[str, Any], name: str) -> list[Any]:
    found = raw.get(name)
    return found if isinstance(found, list) else []


def _claimed(office: Any) -> list[str]:
    """Return the identifiers that an entry claims, whatever else is wrong with it."""
    if not isinstance(office, dict):
        return []
    aliases = office.get("aliases")
    forms = [office.get("code"), office.get("code102"), *(aliases if isinstance(aliases, list) else ())]
    return [form for form in forms if isinstance(form, str)]


def _slip(problem: Any, raw: Mapping[str, Any]) -> Finding:
    """Say where and what a value of the wrong shape is."""
    head, *rest = problem["loc"] or ("file",)
    place = str(head)
    if rest and isinstance(rest[0], int):
        number = rest.pop(0)
        place = f"{head}[{number}]"
        if head in ("offices", "groups") and (claimed := _claimed(raw[head][number])):
            place = f"{place} {claimed[0]}"
    field = ".".join(str(step) for step in rest)
    vi = _SLIPS_VI.get(problem["type"], problem["msg"])
    said = f"{field}: " if field else ""
    return error(place, f"{said}{vi}", f"{said}{problem['msg']}")


_SLIPS_VI = {  # What pydantic calls it, in Vietnamese; the rest stays in its words.
    "missing": "thiếu mục này",
    "extra_forbidden": "không có mục này",
    "string_pattern_mismatch": "không đúng dạng",
    "string_too_short": "không được để trống",
    "string_too_long": "quá dài",
    "string_type": "phải là chuỗi",
    "enum": "không có giá trị này",
    "literal_error": "không có giá trị này",
    "bool_type": "phải là true hoặc false",
    "bool_parsing": "phải là true hoặc false",
    "int_type": "phải là số nguyên",
    "int_parsing": "phải là số nguyên",
    "greater_than_equal": "quá nhỏ",
    "less_than_equal": "quá lớn",
    "date_type": "phải là ngày",
    "date_parsing": "phải là ngày",
    "date_from_datetime_parsing": "phải là ngày",
    "date_from_datetime_inexact": "phải là ngày, không có giờ",
    "tuple_type": "phải là danh sách",
    "dict_type": "phải là bảng",
    "model_type": "phải là bảng",
}


def _order(place: str) -> tuple[int, int]:
    """Sort findings as the file is read: the file itself, tiers, offices, rules, groups."""
    head, _, number = place.partition("[")
    digits = number.partition("]")[0]
    sections = ("tiers", "offices", "rules", "groups")
    return (sections.index(head) + 1 if head in sections else 0), int(digits) if digits.isdecimal() else -1


# --- what only the whole file shows -----------------------------------------------


def _certificate_names(entry: _Office, folder: Path) -> tuple[str, ...]:
    if entry.certificates is not None:
        return entry.certificates
    usual = f"certs/{entry.code}.pem"
    return (usual,) if (folder / usual).exists() else ()


def _across(placed: Sequence[_Placed], content: _Content, at: datetime | None) -> Iterator[Finding]:
    by_code = {one.office.code: one.office for one in placed}
    yield from _shared(placed)
    for one in placed:
        yield from _relations(one, by_code, content)
        yield from _dates(one)
        yield from _forwarding(one, by_code)
        yield from _dialect(one)
        yield from odd_certificates(one.office, one.place, at)
        if not one.office.certificates and one.office.status is Status.ACTIVE:
            yield warning(
                one.place,
                "chưa có chứng thư: không gửi được và không ký được biên nhận",
                "has no certificate: it cannot send, nor sign receipts",
            )
    if content.offices and not any(one.office.tier == AXIS_TIER for one in placed):
        yield warning("offices", "không có đơn vị nào ở cấp axis", "no office is of tier axis")
    yield from _rules(content)
    yield from _groups(placed, content)


def _shared(placed: Sequence[_Placed]) -> Iterator[Finding]:
    """Find what only one office may have and two do: identifiers, and keys."""
    owners: dict[str, set[str]] = defaultdict(set)
    taken = Counter(form for one in placed for form in set(one.office.forms))
    for one in placed:
        for pem in one.office.certificates:
            owners[pem].add(one.office.code)
    for one in placed:
        for form in sorted({form for form in one.office.forms if taken[form] > 1}):
            yield error(one.place, f"mã {form} trỏ tới nhiều đơn vị", f"identifier {form} means more than one office")
        # Whoever holds such a key could speak for both.
        others = sorted({code for pem in one.office.certificates for code in owners[pem]} - {one.office.code})
        if others:
            yield error(
                one.place,
                f"dùng chung chứng thư với {', '.join(others)}",
                f"shares a certificate with {', '.join(others)}",
            )


def _relations(one: _Placed, by_code: Mapping[str, Office], content: _Content) -> Iterator[Finding]:
    office = one.office
    if content.tier_words and office.tier not in content.tier_words:
        yield error(one.place, f"cấp {office.tier} không có trong [tiers]", f"tier {office.tier} is not in [tiers]")
    parents = {code: each.parent for code, each in by_code.items()}
    if office.parent is not None and office.parent not in by_code:
        yield from _unknown(one.place, "parent", office.parent, by_code, content)
    elif _has_cycle(office.code, parents):
        yield error(one.place, "là cấp trên của chính mình", "is its own ancestor")
    for code in office.successors:
        successor = by_code.get(code)
        if successor is None:
            yield from _unknown(one.place, "successor", code, by_code, content)
        elif code == office.code:
            yield error(one.place, "kế thừa chính mình", "is its own successor")
        elif successor.status is Status.CLOSED:
            yield warning(one.place, f"đơn vị kế thừa {code} đã đóng", f"its successor {code} is closed")


def _unknown(place: str, role: str, code: str, by_code: Mapping[str, Office], content: _Content) -> Iterator[Finding]:
    """Say that a code leads nowhere; say nothing if it leads to an entry that has its own error."""
    owner = next((office.code for office in by_code.values() if code in office.forms), None)
    if owner is not None:
        yield error(place, f"{role} {code}: hãy viết {owner}", f"{role} {code}: write {owner}")
    elif code not in content.organ_ids:
        yield error(place, f"{role} {code} không có trong danh sách", f"{role} {code} is not in the roll")


def _dates(one: _Placed) -> Iterator[Finding]:
    office = one.office
    if office.opened_on is not None and office.closed_on is not None and office.closed_on < office.opened_on:
        yield error(one.place, "closed_on trước opened_on", "closed_on is before opened_on")
    if office.status is Status.CLOSED and office.closed_on is None:
        yield warning(one.place, "đã đóng nhưng thiếu closed_on", "is closed without closed_on")
    if office.successors and office.status is not Status.CLOSED and office.closed_on is None:
        yield warning(
            one.place, "có đơn vị kế thừa nhưng chưa đóng", "has successors but is not closed and has no closed_on"
        )


def _forwarding(one: _Placed, by_code: Mapping[str, Office]) -> Iterator[Finding]:
    """Say where the mail of a closed office would go nowhere, or nobody has said where."""
    office = one.office
    strangers = ", ".join(code for code in office.forward_to if code not in office.successors)
    if strangers:
        yield error(
            one.place,
            f"forward_to {strangers} không có trong successors",
            f"forward_to {strangers} is not among its successors",
        )
    if office.after_closing is not AfterClosing.FORWARD:
        if office.forward_to:
            yield error(
                one.place,
                'có forward_to nhưng after_closing không phải "forward"',
                'has forward_to, but after_closing is not "forward"',
            )
        if office.after_closing is AfterClosing.HOLD and not office.successors:
            yield warning(
                one.place,
                'after_closing = "hold" nhưng không có đơn vị kế thừa: thư chỉ có thể được trả lại',
                "holds mail that can only be returned: it has no successors",
            )
    elif not office.heirs:
        yield error(
            one.place,
            "chuyển tiếp cho ai? Cần đúng một đơn vị trong successors, hoặc ghi rõ forward_to",
            "forwards to whom? It needs exactly one of successors, or forward_to that names them",
        )
    elif _leads_back(office, by_code):
        yield error(one.place, "chuyển tiếp vòng về chính mình", "its mail would be forwarded back to it")


def _dialect(one: _Placed) -> Iterator[Finding]:
    """Say where a policy for older systems means nothing, or means less safety."""
    if one.office.unsigned is not Unsigned.ACCEPT:
        return
    if one.office.dialect is None:
        yield error(
            one.place, 'có unsigned = "accept" nhưng thiếu dialect', 'has unsigned = "accept", but states no dialect'
        )
    else:
        yield warning(
            one.place,
            "nhận gói tin không ký: văn bản của đơn vị này bị ghi là chưa xác thực",
            "may send without a seal: its documents are marked unverified",
        )


def _leads_back(office: Office, by_code: Mapping[str, Office]) -> bool:
    seen: set[str] = set()
    ahead = list(office.heirs)
    while ahead:
        code = ahead.pop()
        if code == office.code:
            return True
        if code not in seen and code in by_code:
            seen.add(code)
            ahead += by_code[code].heirs
    return False


def _rules(content: _Content) -> Iterator[Finding]:
    names = Counter(rule.name for rule in content.rules.values())
    known = content.organ_ids | content.tier_words | {"*"}
    for number, rule in content.rules.items():
        place = f"rules[{number}] {rule.name}"
        if names[rule.name] > 1:
            yield error(place, "tên quy tắc bị lặp", "the name of the rule occurs twice")
        for side, others in ((rule.sender, frozenset[str]()), (rule.addressee, content.group_ids)):
            if side not in known | others:
                yield error(place, f"{side} không phải cấp hay đơn vị nào", f"{side} is neither a tier nor an office")
        if not rule.allow and not (rule.because_vi and rule.because_en):
            yield warning(
                place,
                "thiếu because_vi hoặc because_en: đơn vị gửi sẽ không được biết lý do",
                "lacks because_vi or because_en: the originator is not told why",
            )


def _groups(placed: Sequence[_Placed], content: _Content) -> Iterator[Finding]:
    by_code = {one.office.code: one.office for one in placed}
    taken = Counter(group.code for group in content.groups.values())
    for number, entry in content.groups.items():
        place = f"groups[{number}] {entry.code}"
        group = Group(**entry.model_dump())
        if taken[group.code] > 1 or group.code in content.organ_ids:
            yield error(place, f"mã {group.code} đã được dùng", f"identifier {group.code} is taken")
        for code in group.members:
            if code not in by_code:
                yield from _unknown(place, "member", code, by_code, content)
            elif by_code[code].status is Status.CLOSED:
                yield warning(place, f"thành viên {code} đã đóng", f"its member {code} is closed")
        if group.tier is not None and content.tier_words and group.tier not in content.tier_words:
            yield error(place, f"cấp {group.tier} không có trong [tiers]", f"tier {group.tier} is not in [tiers]")
        if group.parent is not None and group.parent not in by_code:
            yield from _unknown(place, "parent", group.parent, by_code, content)
        held = sum(group.holds(office) for office in by_code.values())
        if held > MOST_ADDRESSEES:
            yield error(
                place,
                f"có {held} đơn vị, nhiều nhất {MOST_ADDRESSEES}",
                f"has {held} offices, at most {MOST_ADDRESSEES}",
            )
        elif not held:
            yield warning(place, "chưa có đơn vị nào", "has no office: what is sent to it is refused")


def _has_cycle(code: str, parents: Mapping[str, str | None]) -> bool:
    seen = {code}
    above = parents.get(code)
    while above is not None and above not in seen:
        seen.add(above)
        above = parents.get(above)
    return above == code
