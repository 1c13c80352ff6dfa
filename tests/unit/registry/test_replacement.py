"""A new roll in the place of the old one."""

from axis.registry import Finding, Office, Registry, check_replacement


def roll(*offices: Office) -> Registry:
    return Registry.of(offices)


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


def test_finding_speaks_once_where_both_languages_agree() -> None:
    assert Finding(True, "a", "b", "b").text == "b"
    assert Finding(True, "a", "b", "c").text == "b / c"
