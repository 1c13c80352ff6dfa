"""Resolution: who gets a message, by which rule, and who does not, and why.

An addressee mostly means one office. Where the roll says so it leads further: a
group to the offices that belong to it today, a closed office to its heirs. What
is true of an office is true however a message came to it. Mail of a closed
office that the roll holds is served as well, and goes nowhere until it is
decided who gets it; whoever that is, is judged here, too.

Spec: docs/protocol/registry.md 3 to 7; RFC 5321 §3.4 (551 or forward).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from axis.edxml import Kind, Message, Priority
from axis.edxml import Status as StatusMessage
from axis.edxml.values import local_date
from axis.errors import CATALOGUE, Refusal, Violation, refuse, violation
from axis.registry import AXIS_TIER, MOST_ADDRESSEES, AfterClosing, Group, Office, Registry, Rule, Standing

_HEADER = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What becomes of one addressee."""

    addressee_as_written: str
    office: Office | None
    rule: str
    explanation_vi: str
    explanation_en: str
    violation: Violation | None = None
    held: str = ""  # Of which closed office it is held, and who succeeds it, in Vietnamese; "" where it is not.

    @property
    def served(self) -> bool:
        """Whether the axis takes the message for the office."""
        return self.violation is None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a message."""

    originator: Office
    routes: tuple[Route, ...]  # One for each office, and one for each addressee that is no office.
    repeats: tuple[Route, ...] = ()  # Addressees that lead to an office once more: no delivery follows.

    def addressed(self) -> dict[str, tuple[str, ...]]:
        """Return for each office that is reached by more than its code what the originator wrote, by its code."""
        written: dict[str, list[str]] = {}
        for route in (*self.routes, *self.repeats):
            if route.office is not None:
                written.setdefault(route.office.code, []).append(route.addressee_as_written)
        return {code: tuple(dict.fromkeys(forms)) for code, forms in written.items() if forms != [code]}


def resolve(message: Message, registry: Registry, at: datetime) -> Resolution:
    """Decide each addressee of a message.

    Args:
        message: As read from its signed bytes.
        registry: The offices as known now.
        at: Now.

    Raises:
        Refusal: KEY.UNKNOWN_SIGNER, the originator is not in the roll; MSG.NOT_ALLOWED, it takes no part now.
    """
    day = local_date(at)
    originator = _originator(message.originator.organ_id, registry, day)
    sending = _Sending(originator, _kind(message), registry, day, _inbox(message))
    routes: dict[str, Route] = {}
    repeats: list[Route] = []
    for written, path in _addressees(message):
        for way in _ways(written, sending):
            if way.key in routes:
                repeats.append(_repeat(written, routes[way.key]))
            else:
                routes[way.key] = _route(written, path, way, sending)
    if len(routes) > MOST_ADDRESSEES:
        raise refuse("ENV.TOO_COMPLEX", f"{len(routes)} > {MOST_ADDRESSEES}", rule="route:addressees")
    return Resolution(originator, tuple(routes.values()), tuple(repeats))


def _originator(written: str, registry: Registry, day: date) -> Office:
    path = f"{_HEADER}/edXML:From/edXML:OrganId"
    office = registry.find(written)
    if office is None:
        raise refuse("KEY.UNKNOWN_SIGNER", written, path=path, rule="route:originator-unknown")
    require_active(office, day, path=path)
    return office


def require_active(office: Office, day: date, *, path: str = "") -> None:
    """Refuse an office that does not take part on a day.

    Raises:
        Refusal: MSG.NOT_ALLOWED
    """
    standing = office.standing_on(day)
    if standing is not Standing.ACTIVE:
        raise refuse(
            "MSG.NOT_ALLOWED",
            f"{office.code} is {_STANDINGS_EN[standing]}",
            detail_vi=f"{office.code} {_STANDINGS_VI[standing]}",
            path=path,
            rule=f"route:originator-{standing}",
        )


_STANDINGS_VI = {
    Standing.NOT_OPEN: "chưa bắt đầu hoạt động",
    Standing.SUSPENDED: "đang tạm dừng",
    Standing.CLOSED: "đã ngừng hoạt động",
}
_STANDINGS_EN = {
    Standing.NOT_OPEN: "not open yet",
    Standing.SUSPENDED: "suspended",
    Standing.CLOSED: "closed",
}


def _inbox(message: Message) -> str:
    is_urgent = not isinstance(message, StatusMessage) and message.priority >= Priority.VERY_URGENT
    return "inbox-express" if is_urgent else "inbox"


def _kind(message: Message) -> Kind:
    return Kind.STATUS if isinstance(message, StatusMessage) else Kind.DOCUMENT


def _addressees(message: Message) -> Iterator[tuple[str, str]]:
    """Yield each addressee as written, with its XPath."""
    if isinstance(message, StatusMessage):  # A status has no To: it goes to the office that it answers.
        yield message.response_for.organ_id, f"{_HEADER}/edXML:ResponseFor/edXML:OrganId"
        return
    several = len(message.addressees) > 1
    for number, to in enumerate(message.addressees, 1):
        yield to.organ_id, f"{_HEADER}/edXML:To{f'[{number}]' if several else ''}/edXML:OrganId"


@dataclass(frozen=True, slots=True)
class _Sending:
    """Who sends what, and all that decides about it but the addressee."""

    originator: Office
    kind: Kind
    registry: Registry
    day: date
    inbox: str  # Which of the two queues of an office: the beginning of its name.


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why an addressee is not served."""

    rule: str
    code: str
    detail_vi: str
    detail_en: str


class _Way(NamedTuple):
    """Where an addressee leads: to one office, or to none."""

    key: str  # Of the office, or what the originator wrote.
    office: Office | None
    stop: _Stop | None = None  # Why it leads nowhere.
    why_vi: str = ""  # Why it leads to an office that it does not name.
    why_en: str = ""


# --- where an addressee leads -----------------------------------------------------


def _ways(written: str, sending: _Sending) -> Sequence[_Way]:
    """Return the offices that an addressee leads to."""
    office = sending.registry.find(written)
    if office is not None:
        heirs = office.heirs and _heirs(office, sending)
        return [_inherited(heir, office) for heir in heirs] if heirs else (_Way(office.code, office),)
    group = sending.registry.groups.get(written)
    if group is not None:
        return _through(group, sending)
    return (_Way(written, None, _unknown(written)),)


def _unknown(written: str) -> _Stop:
    return _Stop("unknown", "MSG.UNKNOWN_ADDRESSEE", written, written)


def _heirs(office: Office, sending: _Sending, seen: frozenset[str] = frozenset()) -> Sequence[Office]:
    """Return who gets the mail of a closed office, and of heirs that are closed themselves; none: nobody else."""
    if not office.heirs or office.standing_on(sending.day) is not Standing.CLOSED:
        return ()
    seen |= {office.code}
    found: list[Office] = []
    for code in office.heirs:
        heir = sending.registry.find(code)
        if heir is not None and heir.code not in seen:
            found += _heirs(heir, sending, seen) or (heir,)
    return found


def _inherited(heir: Office, gone: Office) -> _Way:
    named = f"{gone.name} ({gone.code})"
    return _Way(heir.code, heir, None, f"thay cho {named} đã ngừng hoạt động", f"in place of {named}, which is closed")


def _through(group: Group, sending: _Sending) -> Sequence[_Way]:
    """Return the offices that belong to a group today, but for the originator; or why nobody gets it."""
    rule = sending.registry.rule_for_group(sending.originator, group, sending.kind.value)
    if rule is not None and not rule.allow:
        return (_Way(group.code, None, _forbids(rule, sending.originator, group.code)),)
    named = f"{group.name} ({group.code})"
    ways = [
        _Way(office.code, office, None, f"thuộc nhóm {named}", f"of the group {named}")
        for office in sending.registry.members(group)
        if office.code != sending.originator.code
        and office.tier != AXIS_TIER
        and office.standing_on(sending.day) in (Standing.ACTIVE, Standing.SUSPENDED)
    ]
    return ways or (_Way(group.code, None, _Stop("empty group", "MSG.EMPTY_GROUP", named, named)),)


def _route(written: str, path: str, way: _Way, sending: _Sending) -> Route:
    office = way.office
    if office is None:
        return _refused(written, None, way.stop or _unknown(written), path)
    stop = _stop(office, sending)
    if stop is not None:
        return _refused(written, office, stop, path)
    if office.standing_on(sending.day) is Standing.CLOSED:
        return _held(written, office, sending.registry)
    allowed = sending.registry.rule_for(sending.originator, office, sending.kind.value)
    named = f"{office.name} ({office.code})"
    return Route(
        addressee_as_written=written,
        office=office,
        rule="default" if allowed is None else f"rule {allowed.name}",
        explanation_vi=f"gửi tới {named}, hộp {sending.inbox}.{office.code}{way.why_vi and ', '}{way.why_vi}",
        explanation_en=f"goes to {named}, queue {sending.inbox}.{office.code}{way.why_en and ', '}{way.why_en}",
    )


def _held(written: str, office: Office, registry: Registry) -> Route:
    waits = CATALOGUE["DLV.HELD"]
    detail_vi, detail_en = _gone(office, registry)
    return Route(
        addressee_as_written=written,
        office=office,
        rule="held",
        explanation_vi=waits.vi.format(detail=detail_vi),
        explanation_en=waits.en.format(detail=detail_en),
        held=detail_vi,
    )


def _repeat(written: str, first: Route) -> Route:
    as_written = first.addressee_as_written
    return Route(
        addressee_as_written=written,
        office=first.office,
        rule="duplicate",
        explanation_vi=f"cùng một đơn vị với {as_written}; chỉ phục vụ một lần",
        explanation_en=f"the same office as {as_written}; it is served once",
        violation=first.violation,
    )


def _refused(written: str, office: Office | None, stop: _Stop, path: str) -> Route:
    found = _violation(stop, path)
    return Route(
        addressee_as_written=written,
        office=office,
        rule=stop.rule,
        explanation_vi=found.vi,
        explanation_en=found.en,
        violation=found,
    )


def _violation(stop: _Stop, path: str = "") -> Violation:
    return violation(
        stop.code,
        stop.detail_en,
        detail_vi=stop.detail_vi,
        path=path,
        rule=f"route:{stop.rule.replace(' ', '-')}",
    )


# --- who gets what is held --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A message that is held for a closed office: what decides about its heirs."""

    addressee: str  # Code of the closed office.
    originator: str
    kind: Kind


def require_heir(held: Held, written: str, registry: Registry, at: datetime) -> Office:
    """Return the office that is to get a held message instead of the closed one.

    Args:
        held: The message.
        written: Which office, in any of its forms.
        registry: The offices as known now.
        at: Now.

    Raises:
        Refusal: DLV.NO_HEIR, it did not take over from the closed office, or takes no part now; or why a message from
            this originator is nothing for it.
    """
    sending = _held_sending(held, registry, at)
    heir = registry.find(written)
    if heir is None or heir.code not in registry.succession_of(held.addressee):
        raise refuse(
            "DLV.NO_HEIR",
            f"{written} is no successor of {held.addressee}",
            detail_vi=f"{written} không phải đơn vị kế thừa của {held.addressee}",
        )
    standing = heir.standing_on(sending.day)
    if standing is not Standing.ACTIVE:
        detail_en, detail_vi = f"{heir.code} is {_STANDINGS_EN[standing]}", f"{heir.code} {_STANDINGS_VI[standing]}"
        raise refuse("DLV.NO_HEIR", detail_en, detail_vi=detail_vi)
    stop = _stop(heir, sending)
    if stop is not None:
        raise Refusal([_violation(stop)])
    return heir


def heirs_of(held: Held, registry: Registry, at: datetime) -> tuple[Office, ...]:
    """Return the offices to which the roll forwards a held message by now; none, if it does not or one must not get it."""
    office = registry.find(held.addressee)
    if office is None:
        return ()
    try:
        heirs = _heirs(office, _held_sending(held, registry, at))
        return tuple({heir.code: require_heir(held, heir.code, registry, at) for heir in heirs}.values())
    except Refusal:
        return ()


def _held_sending(held: Held, registry: Registry, at: datetime) -> _Sending:
    originator = registry.find(held.originator)
    if originator is None:
        raise refuse("KEY.UNKNOWN_SIGNER", held.originator)
    return _Sending(originator, held.kind, registry, local_date(at), "inbox")


# --- why an office that is known is not served ------------------------------------


def _stop(office: Office, sending: _Sending) -> _Stop | None:
    """Return the first reason why an office does not get a message; None if there is none."""
    return next(filter(None, (stops(office, sending) for stops in _STOPS)), None)


def _axis_itself(office: Office, sending: _Sending) -> _Stop | None:
    if office.tier != AXIS_TIER:
        return None
    code = office.code
    return _Stop("axis", "MSG.NOT_ALLOWED", f"{code} là chính trục liên thông", f"{code} is the axis itself")


def _oneself(office: Office, sending: _Sending) -> _Stop | None:
    if office.code != sending.originator.code:
        return None
    return _Stop("self", "RULE.SELF_ADDRESSED", office.code, office.code)


def _closed(office: Office, sending: _Sending) -> _Stop | None:
    """RFC 5321's 551: say where the mail should go instead. What the roll lets be forwarded never comes here."""
    if office.standing_on(sending.day) is not Standing.CLOSED or office.after_closing is AfterClosing.HOLD:
        return None
    return _Stop("closed", "MSG.CLOSED_ADDRESSEE", *_gone(office, sending.registry))


def _gone(office: Office, registry: Registry) -> tuple[str, str]:
    """Return the name of a closed office and of those that succeed it, in Vietnamese and in English."""
    heirs = "; ".join(_named(registry, code) for code in office.successors)
    gone = f"{office.name} ({office.code})"
    return (f"{gone}, đơn vị kế thừa: {heirs}", f"{gone}, succeeded by: {heirs}") if heirs else (gone, gone)


def _named(registry: Registry, code: str) -> str:
    office = registry.find(code)
    return code if office is None else f"{office.name} ({office.code})"


def _suspended(office: Office, sending: _Sending) -> _Stop | None:
    if office.standing_on(sending.day) is not Standing.SUSPENDED:
        return None
    code = office.code
    return _Stop("suspended", "MSG.NOT_ALLOWED", f"{code} đang tạm dừng", f"{code} is suspended")


def _not_open_yet(office: Office, sending: _Sending) -> _Stop | None:
    if office.standing_on(sending.day) is not Standing.NOT_OPEN or office.opened_on is None:
        return None
    code, day = office.code, office.opened_on.isoformat()
    return _Stop("not open yet", "MSG.UNKNOWN_ADDRESSEE", f"{code} hoạt động từ {day}", f"{code} opens on {day}")


def _forbidden(office: Office, sending: _Sending) -> _Stop | None:
    rule = sending.registry.rule_for(sending.originator, office, sending.kind.value)
    if rule is None or rule.allow:
        return None
    return _forbids(rule, sending.originator, office.code)


def _forbids(rule: Rule, originator: Office, addressee: str) -> _Stop:
    pair = f"{originator.code} → {addressee}"
    return _Stop(
        f"rule {rule.name}",
        "MSG.NOT_ALLOWED",
        f"{pair}: {rule.because_vi or rule.because_en or rule.name}",
        f"{pair}: {rule.because_en or rule.because_vi or rule.name}",
    )


_STOPS: tuple[Callable[[Office, _Sending], _Stop | None], ...] = (  # In this order; the first that speaks decides.
    _axis_itself,
    _oneself,
    _closed,
    _suspended,
    _not_open_yet,
    _forbidden,
)
