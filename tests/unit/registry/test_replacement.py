"""A new roll in the place of the old one."""

from dataclasses import replace

import pytest

from axis.registry import Finding, Group, Office, Registry, Status, check_replacement


def roll(*offices: Office, groups: tuple[Group, ...] = ()) -> Registry:
    return Registry.of(offices, groups=groups)


def office(code: str, *aliases: str) -> Office:
    return Office(code=code, name="UBND xã mẫu (ví dụ)", tier="commune", aliases=aliases)


def test_roll_that_only_adds_is_silent() -> None:
    old = roll(office("H56.112"))
    assert check_replacement(old, roll(office("H56.112", "000.12.31.H56"), office("H56.113"))) == ()


def test_identifier_that_would_mean_another_office_is_an_error() -> None:
    old = roll(office("H56.112", "000.12.31.H56"), office("H56.113"))
    new = roll(office("H56.112"), office("H56.113", "000.12.31.H56"))
    found = check_replacement(old, new)
    assert [(one.is_error, one.place, one.en) for one in found] == [
        (True, "000.12.31.H56", "meant H56.112 before and would mean H56.113")
    ]


def test_office_that_is_gone_is_odd() -> None:
    (found,) = check_replacement(roll(office("H56.112"), office("H56.113")), roll(office("H56.112")))
    assert (found.is_error, found.place) == (False, "H56.113")


GROUP = Group(code="H56.G", name="Nhóm mẫu (ví dụ)", members=("H56.112",))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (roll(office("H56.112"), groups=(GROUP,)), roll(office("H56.112"), office("H56.G")),
         "meant group H56.G before and would mean H56.G"),
        (roll(office("H56.112"), office("H56.G")), roll(office("H56.112"), groups=(GROUP,)),
         "meant H56.G before and would mean group H56.G"),
        (roll(office("H56.112", "H56.G")), roll(office("H56.112"), groups=(GROUP,)),
         "meant H56.112 before and would mean group H56.G"),
    ],
)  # fmt: skip
def test_code_of_an_office_is_never_that_of_a_group(old: Registry, new: Registry, expected: str) -> None:
    assert [one.en for one in check_replacement(old, new) if one.is_error] == [expected]


def test_members_of_a_group_may_change() -> None:
    changed = replace(GROUP, members=("H56.113",))
    offices = (office("H56.112"), office("H56.113"))
    assert check_replacement(roll(*offices, groups=(GROUP,)), roll(*offices, groups=(changed,))) == ()


def test_code_is_not_given_to_another_office_after_years_either() -> None:
    first = roll(office("H56.112", "000.12.31.H56"), office("H56.113"), groups=(GROUP,))
    second = roll(office("H56.113")).remembering(first)
    assert second.retired == {"H56.112": "H56.112", "000.12.31.H56": "H56.112", "H56.G": "group H56.G"}
    third = Registry.from_rows(roll(office("H56.114")).remembering(second).to_rows())
    taken = roll(office("H56.115", "000.12.31.H56"), office("H56.116", "H56.112"), office("H56.G"))
    assert [one.en for one in check_replacement(third, taken) if one.is_error] == [
        "meant H56.112 before and would mean H56.115",
        "meant H56.112 before and would mean H56.116",
        "meant group H56.G before and would mean H56.G",
    ]


def test_code_that_is_back_is_remembered_no_more() -> None:
    first = roll(office("H56.112"), office("H56.113"))
    without = roll(office("H56.113")).remembering(first)
    assert first.remembering(without).retired == {}
    assert first.remembering(first) == first


def test_closed_office_does_not_come_back_as_another() -> None:
    before = roll(replace(office("H56.112"), status=Status.CLOSED))
    (found,) = check_replacement(before, roll(replace(office("H56.112"), name="UBND xã khác (ví dụ)")))
    assert found.is_error
    assert found.en.startswith("is the code of UBND xã mẫu (ví dụ), which is closed; UBND xã khác (ví dụ) needs")
    (again,) = check_replacement(before, roll(office("H56.112")))
    assert (again.is_error, again.en) == (False, "was closed and takes part again")


def test_finding_speaks_once_where_both_languages_agree() -> None:
    assert Finding(True, "a", "b", "b").text == "b"
    assert Finding(True, "a", "b", "c").text == "b / c"
