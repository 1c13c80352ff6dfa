"""Resolution: who gets a message, by which rule, and who does not, and why."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from axis.edxml import Kind, Message
from axis.edxml import Status as StatusMessage
from axis.edxml.values import local_date
from axis.errors import Violation, refuse, violation
from axis.registry import AXIS_TIER, Office, Registry, Standing

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

    @property
    def served(self) -> bool:
        """Whether the office gets the message."""
        return self.violation is None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a message."""

    originator: Office
    routes: tuple[Route, ...]  # One for each office, and one for each addressee that is no office.
    repeats: tuple[Route, ...] = ()  # Addressees that name an office once more, in another form: no delivery follows.


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
    routes: dict[str, Route] = {}
    repeats: list[Route] = []
    for written, path in _addressees(message):
        office = registry.find(written)
        key = written if office is None else office.code
        if key in routes:
            repeats.append(_repeat(written, routes[key]))
        elif office is None:
            routes[key] = _refused(written, None, _Stop("unknown", "MSG.UNKNOWN_ADDRESSEE", written, written), path)
        else:
            routes[key] = _route(written, path, _Case(originator, office, _kind(message), registry, day))
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
class _Case:
    """One office that is addressed, and all that decides about it."""

    originator: Office
    office: Office
    kind: Kind
    registry: Registry
    day: date


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why an addressee is not served."""

    rule: str
    code: str
    detail_vi: str
    detail_en: str


def _route(written: str, path: str, case: _Case) -> Route:
    for stops in _STOPS:
        stop = stops(case)
        if stop is not None:
            return _refused(written, case.office, stop, path)
    allowed = case.registry.rule_for(case.originator, case.office, case.kind.value)
    named = f"{case.office.name} ({case.office.code})"
    return Route(
        addressee_as_written=written,
        office=case.office,
        rule="default" if allowed is None else f"rule {allowed.name}",
        explanation_vi=f"gửi tới {named}, hộp inbox.{case.office.code}",
        explanation_en=f"goes to {named}, queue inbox.{case.office.code}",
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
    found = violation(
        stop.code,
        stop.detail_en,
        detail_vi=stop.detail_vi,
        path=path,
        rule=f"route:{stop.rule.replace(' ', '-')}",
    )
    return Route(
        addressee_as_written=written,
        office=office,
        rule=stop.rule,
        explanation_vi=found.vi,
        explanation_en=found.en,
        violation=found,
    )


# --- why an office that is known is not served ------------------------------------


def _axis_itself(case: _Case) -> _Stop | None:
    if case.office.tier != AXIS_TIER:
        return None
    code = case.office.code
    return _Stop("axis", "MSG.NOT_ALLOWED", f"{code} là chính trục liên thông", f"{code} is the axis itself")


def _oneself(case: _Case) -> _Stop | None:
    if case.office.code != case.originator.code:
        return None
    return _Stop("self", "RULE.SELF_ADDRESSED", case.office.code, case.office.code)


def _closed(case: _Case) -> _Stop | None:
    """RFC 5321's 551: say where the mail should go instead. The axis does not forward what names another office."""
    if case.office.standing_on(case.day) is not Standing.CLOSED:
        return None
    heirs = "; ".join(_named(case.registry, code) for code in case.office.successors)
    gone = f"{case.office.name} ({case.office.code})"
    return _Stop(
        "closed",
        "MSG.CLOSED_ADDRESSEE",
        f"{gone}, đơn vị kế thừa: {heirs}" if heirs else gone,
        f"{gone}, succeeded by: {heirs}" if heirs else gone,
    )


def _named(registry: Registry, code: str) -> str:
    office = registry.find(code)
    return code if office is None else f"{office.name} ({office.code})"


def _suspended(case: _Case) -> _Stop | None:
    if case.office.standing_on(case.day) is not Standing.SUSPENDED:
        return None
    code = case.office.code
    return _Stop("suspended", "MSG.NOT_ALLOWED", f"{code} đang tạm dừng", f"{code} is suspended")


def _not_open_yet(case: _Case) -> _Stop | None:
    if case.office.standing_on(case.day) is not Standing.NOT_OPEN or case.office.opened_on is None:
        return None
    code, day = case.office.code, case.office.opened_on.isoformat()
    return _Stop("not open yet", "MSG.UNKNOWN_ADDRESSEE", f"{code} hoạt động từ {day}", f"{code} opens on {day}")


def _forbidden(case: _Case) -> _Stop | None:
    rule = case.registry.rule_for(case.originator, case.office, case.kind.value)
    if rule is None or rule.allow:
        return None
    pair = f"{case.originator.code} → {case.office.code}"
    return _Stop(
        f"rule {rule.name}",
        "MSG.NOT_ALLOWED",
        f"{pair}: {rule.because_vi or rule.because_en or rule.name}",
        f"{pair}: {rule.because_en or rule.because_vi or rule.name}",
    )


_STOPS: tuple[Callable[[_Case], _Stop | None], ...] = (  # In this order; the first that speaks decides.
    _axis_itself,
    _oneself,
    _closed,
    _suspended,
    _not_open_yet,
    _forbidden,
)
