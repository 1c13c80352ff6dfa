"""Forwarding: what names a closed office goes to its heirs where the roll says so."""

from datetime import date

import pytest

from axis.registry import AfterClosing, Office, Registry, Rule, Status
from axis.routing import Resolution, resolve
from tests.province import AT, STATUS
from tests.unit.routing.test_resolve import document, message

CLOSED_ON = date(2025, 7, 1)


def gone(code: str, *successors: str, to: tuple[str, ...] = (), forward: bool = True, **more: object) -> Office:
    fields: dict[str, object] = {
        "status": Status.CLOSED,
        "closed_on": CLOSED_ON,
        "successors": successors,
        "after_closing": AfterClosing.FORWARD if forward else AfterClosing.REJECT,
        "forward_to": to,
    }
    return Office(code=code, name=f"UBND {code} cũ (ví dụ)", tier="commune", **fields | more)  # type: ignore[arg-type]


def office(code: str, **more: object) -> Office:
    return Office(code=code, name=f"UBND {code} (ví dụ)", tier="commune", **more)  # type: ignore[arg-type]


def roll(*offices: Office, rules: tuple[Rule, ...] = ()) -> Registry:
    kept = {one.code: one for one in (office("H56.05"), office("H56.112"), office("H56.113"), *offices)}
    return Registry.of(kept.values(), rules=rules)


def decide(*addressees: str, of: Registry, by: str = "H56.05") -> Resolution:
    return resolve(document(*addressees, by=by), of, AT)


def reached(resolution: Resolution) -> list[tuple[str, str, str]]:
    return [
        (route.addressee_as_written, route.office.code if route.office else "", route.rule)
        for route in resolution.routes
    ]


def test_only_successor_gets_the_mail_of_a_closed_office() -> None:
    resolution = decide("H56.900", of=roll(gone("H56.900", "H56.112")))
    (route,) = resolution.routes
    assert (route.addressee_as_written, route.office and route.office.code, route.served) == (
        "H56.900",
        "H56.112",
        True,
    )
    assert route.explanation_vi == (
        "gửi tới UBND H56.112 (ví dụ) (H56.112), hộp inbox.H56.112, "
        "thay cho UBND H56.900 cũ (ví dụ) (H56.900) đã ngừng hoạt động"
    )
    assert route.explanation_en.endswith("in place of UBND H56.900 cũ (ví dụ) (H56.900), which is closed")
    assert resolution.addressed() == {"H56.112": ("H56.900",)}


def test_roll_names_which_of_several_successors_get_it() -> None:
    of = roll(gone("H56.900", "H56.112", "H56.113", to=("H56.113",)))
    assert reached(decide("H56.900", of=of)) == [("H56.900", "H56.113", "default")]
    both = roll(gone("H56.900", "H56.112", "H56.113", to=("H56.113", "H56.112")))
    assert [code for _, code, _ in reached(decide("H56.900", of=both))] == ["H56.113", "H56.112"]


@pytest.mark.parametrize(
    "closed",
    [
        gone("H56.900", "H56.112", forward=False),
        gone("H56.900", "H56.112", "H56.113"),  # Which one, nobody has said.
    ],
)
def test_mail_is_refused_where_the_roll_does_not_say_who_gets_it(closed: Office) -> None:
    assert reached(decide("H56.900", of=roll(closed))) == [("H56.900", "H56.900", "closed")]


def test_office_that_is_not_closed_yet_gets_its_own_mail() -> None:
    of = roll(gone("H56.900", "H56.112", status=Status.ACTIVE, closed_on=date(2026, 9, 2)))
    assert reached(decide("H56.900", of=of)) == [("H56.900", "H56.900", "default")]


def test_successor_that_is_named_too_is_served_once() -> None:
    resolution = decide("H56.112", "H56.900", of=roll(gone("H56.900", "H56.112")))
    assert reached(resolution) == [("H56.112", "H56.112", "default")]
    assert resolution.addressed() == {"H56.112": ("H56.112", "H56.900")}


def test_successor_that_is_closed_hands_on_to_its_own() -> None:
    of = roll(gone("H56.800", "H56.900"), gone("H56.900", "H56.112"))
    assert reached(decide("H56.800", of=of)) == [("H56.800", "H56.112", "default")]


def test_successor_that_is_closed_and_forwards_nothing_is_what_is_refused() -> None:
    of = roll(gone("H56.800", "H56.900"), gone("H56.900", "H56.112", "H56.113", forward=False))
    (route,) = decide("H56.800", of=of).routes
    assert route.violation is not None
    assert (route.office and route.office.code, route.violation.code) == ("H56.900", "MSG.CLOSED_ADDRESSEE")
    assert "succeeded by: UBND H56.112 (ví dụ) (H56.112); UBND H56.113" in route.explanation_en


def test_mail_that_would_go_in_a_circle_is_refused() -> None:
    of = roll(gone("H56.800", "H56.900"), gone("H56.900", "H56.800"))
    assert [rule for _, _, rule in reached(decide("H56.800", of=of))] == ["closed"]


def test_rules_are_about_who_gets_it() -> None:
    of = roll(gone("H56.900", "H56.112"), rules=(Rule(name="not-112", allow=False, addressee="H56.112"),))
    assert reached(decide("H56.900", of=of)) == [("H56.900", "H56.112", "rule not-112")]
    old = roll(gone("H56.900", "H56.112"), rules=(Rule(name="not-900", allow=False, addressee="H56.900"),))
    assert reached(decide("H56.900", of=old)) == [("H56.900", "H56.112", "default")]


def test_originator_is_no_heir_of_its_own_mail() -> None:
    assert reached(decide("H56.900", of=roll(gone("H56.900", "H56.05")))) == [("H56.900", "H56.05", "self")]


def test_status_about_a_document_of_a_closed_office_goes_to_its_heir() -> None:
    of = roll(gone("H56.05", "H56.113"))
    (route,) = resolve(message(STATUS), of, AT).routes
    assert (route.office and route.office.code, route.served) == ("H56.113", True)


def test_policy_is_part_of_the_rows() -> None:
    of = roll(gone("H56.900", "H56.112", "H56.113", to=("H56.113",), fields=("health",), unit_code="14758"))
    again = Registry.from_rows(of.to_rows())
    assert (again, again.version) == (of, of.version)
    assert again.by_code["H56.900"].heirs == ("H56.113",)
