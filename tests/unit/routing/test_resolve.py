"""Routing: each addressee is decided by itself, and says why."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from axis import edxml
from axis.broker import topology
from axis.edxml import Document, Message, Organization, Priority
from axis.errors import Refusal
from axis.registry import Office, Registry, Rule, Status, load_offices
from axis.routing import Resolution, Route, resolve
from tests.province import AT, DOCUMENT, STATUS

ROLL = load_offices(Path(__file__).parents[3] / "config" / "offices.toml")
HEADER = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader"


def message(text: str) -> Message:
    received = edxml.parse(text.encode())
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    return edxml.read_trees(received.kind, parts)


def document(*addressees: str, by: str = "H56.05") -> Document:
    made = message(DOCUMENT)
    assert isinstance(made, Document)
    return replace(made, originator=Organization(by), addressees=tuple(map(Organization, addressees)))


def decide(*addressees: str, by: str = "H56.05", roll: Registry = ROLL) -> Resolution:
    return resolve(document(*addressees, by=by), roll, AT)


def one(addressee: str, by: str = "H56.05", roll: Registry = ROLL) -> Route:
    (route,) = decide(addressee, by=by, roll=roll).routes
    return route


def with_office(code: str, **more: object) -> Registry:
    changed = replace(ROLL.by_code[code], **more)  # type: ignore[arg-type]
    return Registry.of(({**ROLL.by_code, code: changed}).values(), ROLL.tiers.values(), ROLL.rules)


def with_rules(*rules: Rule) -> Registry:
    return Registry.of(ROLL.offices(), ROLL.tiers.values(), rules)


def test_known_office_is_served_and_says_where_it_goes() -> None:
    route = one("H56.112")
    assert (route.served, route.rule, route.office) == (True, "default", ROLL.find("H56.112"))
    assert route.explanation_vi == "gửi tới UBND phường Hàm Rồng (ví dụ) (H56.112), hộp inbox.H56.112"
    assert route.explanation_en == "goes to UBND phường Hàm Rồng (ví dụ) (H56.112), queue inbox.H56.112"


@pytest.mark.parametrize(("priority", "queue"), [(1, "inbox"), (2, "inbox-express"), (4, "inbox-express")])
def test_explanation_names_the_queue_that_the_priority_leads_to(priority: int, queue: str) -> None:
    letter = replace(document("H56.112"), priority=Priority(priority))
    (route,) = resolve(letter, ROLL, AT).routes
    assert route.explanation_en.endswith(f"queue {topology.inbox('H56.112', topology.is_urgent(priority))}")
    assert route.explanation_vi.endswith(f"hộp {queue}.H56.112")


def test_old_form_of_an_identifier_leads_to_the_same_office() -> None:
    route = one("000.12.31.H56", by="000.05.00.H56")
    assert (route.addressee_as_written, route.office) == ("000.12.31.H56", ROLL.find("H56.112"))
    assert decide("H56.112", by="000.05.00.H56").originator.code == "H56.05"


def test_each_addressee_is_decided_by_itself() -> None:
    routes = decide("H56.112", "H56.77", "H56.900", "H56.113").routes
    assert [(route.addressee_as_written, route.served, route.rule) for route in routes] == [
        ("H56.112", True, "default"),
        ("H56.77", False, "unknown"),
        ("H56.900", False, "closed"),
        ("H56.113", True, "default"),
    ]


def test_two_forms_of_one_office_are_served_once() -> None:
    resolution = decide("H56.112", "H56.113", "000.12.31.H56")
    assert [route.addressee_as_written for route in resolution.routes] == ["H56.112", "H56.113"]
    (repeat,) = resolution.repeats
    assert (repeat.addressee_as_written, repeat.rule, repeat.office) == (
        "000.12.31.H56",
        "duplicate",
        ROLL.find("H56.112"),
    )
    assert repeat.explanation_en == "the same office as H56.112; it is served once"


def test_two_forms_of_an_office_that_is_not_served_are_both_refused() -> None:
    resolution = decide("H56.900", "000.90.00.H56")
    assert [route.served for route in (*resolution.routes, *resolution.repeats)] == [False, False]


def test_violation_names_the_place_of_its_addressee() -> None:
    found = decide("H56.112", "H56.77").routes[1].violation
    assert found is not None
    assert (found.code, found.path, found.rule) == (
        "MSG.UNKNOWN_ADDRESSEE",
        f"{HEADER}/edXML:To[2]/edXML:OrganId",
        "route:unknown",
    )
    assert (found.vi, found.en) == ("Không có nơi nhận này: H56.77", "No such addressee: H56.77")
    alone = one("H56.77").violation
    assert alone is not None
    assert alone.path == f"{HEADER}/edXML:To/edXML:OrganId"


def test_closed_office_names_its_successors() -> None:
    route = one("H56.900")
    assert route.violation is not None
    assert route.violation.code == "MSG.CLOSED_ADDRESSEE"
    assert route.explanation_en == (
        "The addressee is closed: UBND huyện đã giải thể (ví dụ) (H56.900), "
        "succeeded by: UBND phường Hàm Rồng (ví dụ) (H56.112); UBND xã mẫu (ví dụ) (H56.113)"
    )
    assert "đơn vị kế thừa: UBND phường Hàm Rồng" in route.explanation_vi


def test_office_without_heirs_is_closed_all_the_same() -> None:
    route = one("H56.900", roll=with_office("H56.900", successors=()))
    assert route.explanation_en == "The addressee is closed: UBND huyện đã giải thể (ví dụ) (H56.900)"


@pytest.mark.parametrize(
    ("change", "rule", "code", "said"),
    [
        ({"status": Status.SUSPENDED}, "suspended", "MSG.NOT_ALLOWED", "Not allowed: H56.112 is suspended"),
        ({"status": Status.CLOSED}, "closed", "MSG.CLOSED_ADDRESSEE", "The addressee is closed: "),
        ({"closed_on": date(2026, 9, 1)}, "closed", "MSG.CLOSED_ADDRESSEE", "The addressee is closed: "),
        ({"opened_on": date(2026, 9, 2)}, "not open yet", "MSG.UNKNOWN_ADDRESSEE",
         "No such addressee: H56.112 opens on 2026-09-02"),
    ],
)  # fmt: skip
def test_office_that_takes_no_part_is_not_served(change: dict[str, object], rule: str, code: str, said: str) -> None:
    route = one("H56.112", roll=with_office("H56.112", **change))
    assert route.violation is not None
    assert (route.rule, route.violation.code) == (rule, code)
    assert route.explanation_en.startswith(said)
    assert route.violation.rule == f"route:{rule.replace(' ', '-')}"


def test_day_of_closing_is_the_day_in_viet_nam() -> None:
    roll = with_office("H56.112", closed_on=date(2026, 9, 2))
    late = AT.replace(hour=16, minute=59)  # 23:59 in Ha Noi.
    later = AT.replace(hour=17, minute=0)  # Midnight.
    assert resolve(document("H56.112"), roll, late).routes[0].served
    assert not resolve(document("H56.112"), roll, later).routes[0].served


def test_axis_itself_gets_no_mail() -> None:
    assert one("H56.TRUC").rule == "axis"


def test_originator_in_another_form_is_still_itself() -> None:
    route = one("000.00.05.H56")
    assert route.violation is not None
    assert (route.rule, route.violation.code) == ("self", "RULE.SELF_ADDRESSED")


def test_rule_of_the_roll_forbids_and_gives_its_reason_in_both_languages() -> None:
    route = one("H56.NR", by="H56.113")
    assert route.violation is not None
    assert (route.rule, route.violation.rule) == ("rule commune-not-to-district", "route:rule-commune-not-to-district")
    assert route.violation.code == "MSG.NOT_ALLOWED"
    assert route.explanation_vi == "Không được phép: H56.113 → H56.NR: xã mẫu không gửi trực tiếp cho huyện mẫu"
    assert route.explanation_en == (
        "Not allowed: H56.113 → H56.NR: the sample commune does not write to the sample district"
    )


def test_first_rule_that_fits_decides() -> None:
    roll = with_rules(
        Rule(name="pair", allow=True, sender="H56.05", addressee="000.12.31.H56"),
        Rule(name="tier", allow=False, sender="department", addressee="commune", because_vi="v", because_en="e"),
    )
    assert [(route.served, route.rule) for route in decide("H56.112", "H56.113", "H56.VP", roll=roll).routes] == [
        (True, "rule pair"),
        (False, "rule tier"),
        (True, "default"),
    ]


def test_rule_may_speak_of_one_kind_alone() -> None:
    roll = with_rules(Rule(name="quiet", allow=False, sender="commune", kind="document"))
    status = message(STATUS)
    assert resolve(status, roll, AT).routes[0].served
    assert not one("H56.05", by="H56.112", roll=roll).served


def test_rule_without_a_reason_gives_its_name() -> None:
    route = one("H56.112", roll=with_rules(Rule(name="nobody", allow=False)))
    assert route.explanation_en == "Not allowed: H56.05 → H56.112: nobody"


def test_status_goes_to_the_office_that_it_answers() -> None:
    (route,) = resolve(message(STATUS), ROLL, AT).routes
    assert (route.office, route.served) == (ROLL.find("H56.05"), True)
    unknown = message(
        STATUS.replace("<edXML:ResponseFor><edXML:OrganId>H56.05", "<edXML:ResponseFor><edXML:OrganId>H56.77")
    )
    (refused,) = resolve(unknown, ROLL, AT).routes
    assert refused.violation is not None
    assert refused.violation.path == f"{HEADER}/edXML:ResponseFor/edXML:OrganId"


@pytest.mark.parametrize(
    ("roll", "by", "code", "rule"),
    [
        (ROLL, "H56.77", "KEY.UNKNOWN_SIGNER", "route:originator-unknown"),
        (ROLL, "H56.900", "MSG.NOT_ALLOWED", "route:originator-closed"),
        (with_office("H56.05", status=Status.SUSPENDED), "H56.05", "MSG.NOT_ALLOWED", "route:originator-suspended"),
        (with_office("H56.05", opened_on=date(2027, 1, 1)), "H56.05", "MSG.NOT_ALLOWED", "route:originator-not-open"),
    ],
)
def test_originator_that_takes_no_part_is_refused_as_a_whole(roll: Registry, by: str, code: str, rule: str) -> None:
    with pytest.raises(Refusal) as refused:
        decide("H56.112", by=by, roll=roll)
    (found,) = refused.value.violations
    assert (found.code, found.rule, found.path) == (code, rule, f"{HEADER}/edXML:From/edXML:OrganId")


def test_tier_is_any_word_that_the_roll_uses() -> None:
    roll = Registry.of(
        [
            Office(code="H56.05", name="Sở mẫu (ví dụ)", tier="department"),
            Office(code="H56.KV1", name="Khu vực mẫu (ví dụ)", tier="zone"),
        ],
        rules=[Rule(name="no-zones", allow=False, addressee="zone")],
    )
    assert one("H56.KV1", roll=roll).rule == "rule no-zones"
