"""Groups: one identifier, several offices, each decided by itself."""

from dataclasses import replace
from datetime import date

import pytest

from axis.registry import Group, Office, Registry, Rule, Status
from axis.routing import Resolution, resolve
from tests.province import AT
from tests.unit.routing.test_resolve import HEADER, document

ALL, HEALTH, LISTED = "H56.VD.XP", "H56.VD.YTE", "H56.VD.HAI"


def office(code: str, tier: str = "commune", **more: object) -> Office:
    return Office(code=code, name=f"UBND {code} (ví dụ)", tier=tier, **more)  # type: ignore[arg-type]


OFFICES = (
    office("H56.TRUC", "axis"),
    office("H56.05", "department", fields=("health", "science")),
    office("H56.VP", "province", fields=("health",)),
    office("H56.112", code102="000.12.31.H56", parent="H56.VP"),
    office("H56.113", parent="H56.VP"),
    office("H56.114", parent="H56.05", fields=("health",)),
)
GROUPS = (
    Group(code=ALL, name="Tất cả xã, phường", tier="commune"),
    Group(code=HEALTH, name="Ngành y tế", field="health"),
    Group(code=LISTED, name="Hai đơn vị", members=("H56.VP", "H56.113")),
    Group(code="H56.VD.MOT", name="Một cấp, một cấp trên", tier="commune", parent="H56.05"),
    Group(code="H56.VD.TRG", name="Trống"),
)


def roll(*changed: Office, rules: tuple[Rule, ...] = (), groups: tuple[Group, ...] = GROUPS) -> Registry:
    offices = {one.code: one for one in (*OFFICES, *changed)}
    return Registry.of(offices.values(), rules=rules, groups=groups)


def decide(*addressees: str, by: str = "H56.05", of: Registry | None = None) -> Resolution:
    return resolve(document(*addressees, by=by), of or roll(), AT)


def served(resolution: Resolution) -> list[str]:
    return [route.office.code for route in resolution.routes if route.served and route.office]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (ALL, ["H56.112", "H56.113", "H56.114"]),
        (HEALTH, ["H56.114", "H56.VP"]),  # Of the field, whatever the tier; the originator is left out.
        (LISTED, ["H56.113", "H56.VP"]),
        ("H56.VD.MOT", ["H56.114"]),  # What fits all that is asked for.
    ],
)
def test_group_leads_to_the_offices_that_belong_to_it(group: str, expected: list[str]) -> None:
    assert served(decide(group)) == expected


def test_route_through_a_group_says_so() -> None:
    route = decide(LISTED).routes[0]
    assert route.addressee_as_written == LISTED
    assert route.explanation_vi == (
        "gửi tới UBND H56.113 (ví dụ) (H56.113), hộp inbox.H56.113, thuộc nhóm Hai đơn vị (H56.VD.HAI)"
    )
    assert route.explanation_en.endswith("queue inbox.H56.113, of the group Hai đơn vị (H56.VD.HAI)")


def test_office_that_is_reached_in_many_ways_is_served_once() -> None:
    resolution = decide("000.12.31.H56", ALL, LISTED)
    assert served(resolution) == ["H56.112", "H56.113", "H56.114", "H56.VP"]
    assert resolution.addressed() == {
        "H56.112": ("000.12.31.H56", ALL),
        "H56.113": (ALL, LISTED),
        "H56.114": (ALL,),
        "H56.VP": (LISTED,),
    }


def test_addressee_that_is_only_named_needs_no_other_word() -> None:
    assert decide("H56.112", "H56.113").addressed() == {}


def test_members_are_those_of_the_day() -> None:
    of = roll(
        office("H56.112", opened_on=date(2026, 9, 2)),
        office("H56.113", status=Status.CLOSED, successors=("H56.114",)),
        office("H56.115", opened_on=date(2026, 9, 1)),
    )
    assert served(decide(ALL, of=of)) == ["H56.114", "H56.115"]


def test_member_that_is_suspended_is_refused_by_name() -> None:
    routes = decide(ALL, of=roll(office("H56.113", status=Status.SUSPENDED))).routes
    assert [(route.office and route.office.code, route.rule) for route in routes] == [
        ("H56.112", "default"),
        ("H56.113", "suspended"),
        ("H56.114", "default"),
    ]


@pytest.mark.parametrize("group", ["H56.VD.TRG", "H56.VD.TOI"])
def test_group_without_anybody_to_send_to_is_refused(group: str) -> None:
    groups = (*GROUPS, Group(code="H56.VD.TOI", name="Chỉ có người gửi", members=("H56.05",)))
    (route,) = decide(group, of=roll(groups=groups)).routes
    assert route.violation is not None
    assert (route.office, route.rule, route.violation.code) == (None, "empty group", "MSG.EMPTY_GROUP")
    assert route.violation.path == f"{HEADER}/edXML:To/edXML:OrganId"


def test_axis_belongs_to_no_group() -> None:
    groups = (Group(code="H56.VD.HET", name="Tất cả", members=("H56.TRUC", "H56.112")),)
    assert served(decide("H56.VD.HET", of=roll(groups=groups))) == ["H56.112"]


def test_originator_that_names_itself_too_is_told_so() -> None:
    routes = decide(HEALTH, "H56.05").routes
    assert [route.rule for route in routes] == ["default", "default", "self"]


def test_rule_may_keep_some_from_a_group() -> None:
    rules = (
        Rule(name="provincial-office", allow=True, sender="H56.VP", addressee=ALL),
        Rule(name="no-circulars", allow=False, addressee=ALL, because_vi="chỉ Văn phòng", because_en="only the office"),
    )
    of = roll(rules=rules)
    (route,) = decide(ALL, of=of).routes
    assert route.violation is not None
    assert (route.office, route.rule, route.violation.code) == (None, "rule no-circulars", "MSG.NOT_ALLOWED")
    assert route.explanation_en == "Not allowed: H56.05 → H56.VD.XP: only the office"
    assert served(decide(ALL, by="H56.VP", of=of)) == ["H56.112", "H56.113", "H56.114"]
    assert served(decide("H56.112", of=of)) == ["H56.112"]  # The rule is about the group.


def test_what_is_forbidden_to_an_office_is_forbidden_through_a_group() -> None:
    of = roll(rules=(Rule(name="not-113", allow=False, sender="department", addressee="H56.113"),))
    resolution = decide(ALL, of=of)
    assert served(resolution) == ["H56.112", "H56.114"]
    assert [route.rule for route in resolution.routes if not route.served] == ["rule not-113"]


def test_group_is_no_originator() -> None:
    assert roll().find(ALL) is None


def test_groups_are_part_of_the_rows_and_of_the_version() -> None:
    first = roll()
    again = Registry.from_rows(first.to_rows())
    assert (again, again.version) == (first, first.version)
    assert again.members(GROUPS[0]) == first.members(GROUPS[0])
    assert roll(groups=GROUPS[1:]).version != first.version


def test_roll_without_anything_new_has_the_rows_that_it_always_had() -> None:
    (row,) = Registry.of([replace(OFFICES[3], code102=None)]).to_rows()
    assert sorted(row["content"]) == [
        "adapter", "aliases", "certificates", "closed_on", "code", "code102", "name", "opened_on", "parent", "status",
        "successors", "tier",
    ]  # fmt: skip
