"""Held mail: a closed office's, where the roll says so; and who may get it instead."""

from dataclasses import replace
from datetime import date

import pytest

from axis.edxml import Kind
from axis.errors import Refusal
from axis.registry import AfterClosing, Office, Registry, Rule, Status
from axis.routing import Held, heirs_of, require_heir
from tests.province import AT
from tests.unit.routing.test_forwarding import decide, gone, office, reached, roll

HELD = Held(addressee="H56.900", originator="H56.05", kind=Kind.DOCUMENT)


def holding(code: str, *successors: str, **more: object) -> Office:
    return replace(gone(code, *successors), after_closing=AfterClosing.HOLD, **more)  # type: ignore[arg-type]


def no(of: Registry, written: str, held: Held = HELD) -> tuple[str, str]:
    with pytest.raises(Refusal) as refused:
        require_heir(held, written, of, AT)
    (found,) = refused.value.violations
    return found.code, found.en


def test_mail_of_a_closed_office_is_taken_and_the_acceptance_says_that_it_is_held() -> None:
    (route,) = decide("H56.900", of=roll(holding("H56.900", "H56.112", "H56.113"))).routes
    assert (route.served, route.rule, route.office and route.office.code) == (True, "held", "H56.900")
    named = "UBND H56.900 cũ (ví dụ) (H56.900), đơn vị kế thừa: UBND H56.112 (ví dụ) (H56.112); UBND H56.113 (ví dụ) (H56.113)"
    assert route.held == named
    assert route.explanation_vi.endswith(f"đến khi quyết định ai nhận thay: {named}")
    assert "it is held until it is decided who gets it instead: UBND H56.900" in route.explanation_en


@pytest.mark.parametrize("more", [{"status": Status.ACTIVE, "closed_on": date(2026, 9, 2)}, {"status": Status.ACTIVE, "closed_on": None}])  # fmt: skip
def test_office_that_is_not_closed_holds_nothing(more: dict[str, object]) -> None:
    assert reached(decide("H56.900", of=roll(holding("H56.900", "H56.112", **more)))) == [
        ("H56.900", "H56.900", "default")
    ]


def test_rule_against_the_closed_office_refuses_its_mail_at_once() -> None:
    of = roll(holding("H56.900", "H56.112"), rules=(Rule(name="not-900", allow=False, addressee="H56.900"),))
    assert reached(decide("H56.900", of=of)) == [("H56.900", "H56.900", "rule not-900")]


def test_what_an_office_forwards_to_one_that_holds_is_held_there() -> None:
    of = roll(gone("H56.800", "H56.900"), holding("H56.900", "H56.112"))
    resolution = decide("H56.800", of=of)
    assert (reached(resolution), resolution.addressed()) == (
        [("H56.800", "H56.900", "held")],
        {"H56.900": ("H56.800",)},
    )


def test_successor_near_or_far_may_be_chosen_in_any_of_its_forms() -> None:
    far = office("H56.113", code102="000.13.30.H56")
    of = roll(holding("H56.900", "H56.112", "H56.901"), gone("H56.901", "H56.113", forward=False), far)
    assert of.succession_of("H56.900") == {"H56.112", "H56.901", "H56.113"}
    assert require_heir(HELD, "H56.112", of, AT).code == "H56.112"
    assert require_heir(HELD, "000.13.30.H56", of, AT).code == "H56.113"


def test_succession_that_runs_in_a_circle_ends() -> None:
    of = roll(holding("H56.900", "H56.901"), holding("H56.901", "H56.900"))
    assert of.succession_of("H56.900") == {"H56.901"}


def test_only_a_successor_that_takes_part_may_be_chosen() -> None:
    later = office("H56.114", opened_on=date(2027, 1, 1))
    of = roll(holding("H56.900", "H56.112", "H56.901", "H56.114"), holding("H56.901", "H56.112"), later)
    assert no(of, "H56.113") == ("DLV.NO_HEIR", "It cannot be forwarded there: H56.113 is no successor of H56.900")
    assert no(of, "H56.77")[0] == "DLV.NO_HEIR"
    assert no(of, "H56.900")[0] == "DLV.NO_HEIR"
    assert no(of, "H56.901") == ("DLV.NO_HEIR", "It cannot be forwarded there: H56.901 is closed")
    assert no(of, "H56.114") == ("DLV.NO_HEIR", "It cannot be forwarded there: H56.114 is not open yet")


def test_heir_is_judged_as_if_it_had_been_written_to() -> None:
    forbidden = Rule(name="not-112", allow=False, addressee="H56.112", because_en="not its field")
    of = roll(holding("H56.900", "H56.112"), rules=(forbidden,))
    assert no(of, "H56.112") == ("MSG.NOT_ALLOWED", "Not allowed: H56.05 → H56.112: not its field")
    assert no(roll(holding("H56.900", "H56.05")), "H56.05")[0] == "RULE.SELF_ADDRESSED"
    assert no(of, "H56.112", replace(HELD, originator="H56.77"))[0] == "KEY.UNKNOWN_SIGNER"


def test_roll_that_has_come_to_forward_names_who_gets_what_is_held() -> None:
    assert heirs_of(HELD, roll(holding("H56.900", "H56.112")), AT) == ()
    forwarding = gone("H56.900", "H56.112", "H56.113", to=("H56.113", "H56.112"))
    assert [heir.code for heir in heirs_of(HELD, roll(forwarding), AT)] == ["H56.113", "H56.112"]
    assert heirs_of(HELD, roll(), AT) == ()


@pytest.mark.parametrize(
    "of",
    [
        roll(gone("H56.900", "H56.112"), rules=(Rule(name="not-112", allow=False, addressee="H56.112"),)),
        roll(gone("H56.900", "H56.901"), holding("H56.901", "H56.112")),
        roll(gone("H56.900", "H56.05")),
    ],
)
def test_where_an_heir_must_not_get_it_a_person_decides(of: Registry) -> None:
    assert heirs_of(HELD, of, AT) == ()
