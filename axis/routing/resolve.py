"""Resolution: who gets a message, by which rule, and who does not, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from axis.edxml import Kind, Message
from axis.edxml import Status as StatusMessage
from axis.edxml.values import local_date
from axis.errors import Violation, refuse, violation
from axis.registry import Office, Registry, Status

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
        """Whether a delivery follows."""
        return self.violation is None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a message."""

    originator: Office
    routes: tuple[Route, ...]


def resolve(message: Message, registry: Registry, at: datetime) -> Resolution:
    """Decide each addressee of a message.

    Args:
        message: As read from its signed bytes.
        registry: The offices as known now.
        at: Now.

    Raises:
        Refusal: The originator is not in the roll, or not active.
    """
    originator = registry.find(message.originator.organ_id)
    if originator is None:
        raise refuse("KEY.UNKNOWN_SIGNER", message.originator.organ_id, path=f"{_HEADER}/edXML:From/edXML:OrganId")
    if originator.status is not Status.ACTIVE:
        raise refuse(
            "MSG.NOT_ALLOWED", f"{originator.code} ({originator.status})", path=f"{_HEADER}/edXML:From/edXML:OrganId"
        )
    routes: list[Route] = []
    seen: set[str] = set()
    for written, path in _addressees(message):
        route = _route(written, path, originator, _kind(message), registry, at)
        if route.office is not None:
            if route.office.code in seen:
                continue  # Two forms of one identifier: the office is served once.
            seen.add(route.office.code)
        routes.append(route)
    return Resolution(originator, tuple(routes))


def _kind(message: Message) -> Kind:
    return Kind.STATUS if isinstance(message, StatusMessage) else Kind.DOCUMENT


def _addressees(message: Message) -> list[tuple[str, str]]:
    """Return each addressee as written, with its XPath."""
    if isinstance(message, StatusMessage):  # A status has no To: it goes to the office that it answers.
        return [(message.response_for.organ_id, f"{_HEADER}/edXML:ResponseFor/edXML:OrganId")]
    several = len(message.addressees) > 1
    return [
        (to.organ_id, f"{_HEADER}/edXML:To[{number}]/edXML:OrganId" if several else f"{_HEADER}/edXML:To/edXML:OrganId")
        for number, to in enumerate(message.addressees, 1)
    ]


def _route(written: str, path: str, originator: Office, kind: Kind, registry: Registry, at: datetime) -> Route:
    office = registry.find(written)
    if office is None:
        return _refused(written, None, "unknown", "MSG.UNKNOWN_ADDRESSEE", written, path)
    for rule, stops in _STOPS:
        code, detail = stops(office, at) or (None, "")
        if code is not None:
            return _refused(written, office, rule, code, detail, path)
    decided = registry.rule_for(originator, office, kind.value)
    if decided is not None and not decided.allow:
        because = decided.because_vi or decided.because_en or decided.name
        return _refused(
            written,
            office,
            f"rule {decided.name}",
            "MSG.NOT_ALLOWED",
            f"{originator.code} → {office.code}: {because}",
            path,
        )
    name = "default" if decided is None else f"rule {decided.name}"
    return Route(
        addressee_as_written=written,
        office=office,
        rule=name,
        explanation_vi=f"gửi tới {office.name} ({office.code}), hộp inbox.{office.code}",
        explanation_en=f"goes to {office.name} ({office.code}), queue inbox.{office.code}",
    )


def _closed(office: Office, at: datetime) -> tuple[str, str] | None:
    gone = office.closed_on is not None and office.closed_on <= local_date(at)
    if office.status is not Status.CLOSED and not gone:
        return None
    heirs = ", ".join(office.successors)
    return "MSG.CLOSED_ADDRESSEE", f"{office.code} {office.name}" + (f" → {heirs}" if heirs else "")


def _not_open_yet(office: Office, at: datetime) -> tuple[str, str] | None:
    if office.opened_on is None or office.opened_on <= local_date(at):
        return None
    return "MSG.CLOSED_ADDRESSEE", f"{office.code} {office.opened_on.isoformat()}"


def _suspended(office: Office, _at: datetime) -> tuple[str, str] | None:
    return ("MSG.NOT_ALLOWED", f"{office.code} (suspended)") if office.status is Status.SUSPENDED else None


def _axis_itself(office: Office, _at: datetime) -> tuple[str, str] | None:
    return ("MSG.NOT_ALLOWED", f"{office.code} (axis)") if office.tier == "axis" else None


# Why an office that is known is not served, tried in order.
_STOPS: tuple[tuple[str, Callable[[Office, datetime], tuple[str, str] | None]], ...] = (
    ("closed", _closed),
    ("not open yet", _not_open_yet),
    ("suspended", _suspended),
    ("axis", _axis_itself),
)


def _refused(written: str, office: Office | None, rule: str, code: str, detail: str, path: str) -> Route:
    found = violation(code, detail, path=path, rule=f"route:{rule.replace(' ', '-')}")
    return Route(
        addressee_as_written=written,
        office=office,
        rule=rule,
        explanation_vi=found.vi,
        explanation_en=found.en,
        violation=found,
    )
