"""What is new in the roll since somebody last asked."""

from dataclasses import replace
from typing import Any

from axis.registry import Group, Office, Registry, Tier, following, since

TIERS = (Tier("commune", "Xã, phường", 3),)
GROUP = Group(code="H56.G", name="Nhóm mẫu (ví dụ)", tier="commune")


def office(code: str, name: str = "UBND xã mẫu (ví dụ)", **more: Any) -> Office:
    return Office(code=code, name=name, tier="commune", **more)


def roll(*offices: Office, groups: tuple[Group, ...] = ()) -> Registry:
    return Registry.of(offices, TIERS, groups=groups)


def load(before: Registry, after: Registry) -> Registry:
    """Put a roll in the place of another as the ledger keeps it."""
    return Registry.from_rows(following(before, after).to_rows())


def told(said: dict[str, Any]) -> tuple[bool, list[str], list[str]]:
    return said["whole"], [one["code"] for one in said["offices"]], said["gone"]


FIRST = load(roll(), roll(office("H56.112"), office("H56.113")))


def test_whoever_asks_first_gets_everything() -> None:
    said = since(FIRST, "")
    assert told(said) == (True, ["H56.112", "H56.113"], [])
    assert said["tiers"] == [{"code": "commune", "name": "Xã, phường", "rank": 3}]
    assert said["offices"][0] == {
        "code": "H56.112", "name": "UBND xã mẫu (ví dụ)", "tier": "commune", "code102": None, "aliases": (), "parent": None,
        "status": "active", "opened_on": None, "closed_on": None, "successors": (), "after_closing": "reject",
        "forward_to": (), "fields": (), "unit_code": None,
    }  # fmt: skip


def test_whoever_has_it_gets_nothing() -> None:
    assert since(FIRST, FIRST.cursor) == {"cursor": FIRST.cursor, "whole": False, "offices": [], "gone": []}


def test_delta_is_what_changed_came_and_went_since_then() -> None:
    second = load(FIRST, roll(office("H56.112", "UBND phường mới (ví dụ)"), office("H56.113")))
    third = load(second, roll(office("H56.112", "UBND phường mới (ví dụ)"), office("H56.114")))
    assert told(since(third, FIRST.cursor)) == (False, ["H56.112", "H56.114"], ["H56.113"])
    assert told(since(third, second.cursor)) == (False, ["H56.114"], ["H56.113"])
    assert told(since(third, third.cursor)) == (False, [], [])
    assert told(since(third, "0" * 32)) == (True, ["H56.112", "H56.114"], [])


def test_deltas_one_after_the_other_make_the_roll() -> None:
    rolls = [FIRST]
    for number in range(5):
        rolls.append(load(rolls[-1], roll(*(office(f"H56.{at}", f"Tên {number}") for at in range(number, number + 3)))))
    kept: dict[str, Any] = {}
    cursor = ""
    for now in rolls:
        said = since(now, cursor)
        kept |= {one["code"]: one for one in said["offices"]}
        for code in said["gone"]:
            kept.pop(code, None)
        cursor = said["cursor"]
    assert kept == {code: entry for code, entry in rolls[-1].known.items() if code in rolls[-1].by_code}


def test_same_roll_again_is_the_same_to_the_byte() -> None:
    second = load(FIRST, roll(office("H56.112")))
    again = load(second, roll(office("H56.112")))
    assert (again, again.version) == (second, second.version)


def test_roll_that_comes_back_is_known_again() -> None:
    second = load(FIRST, roll(office("H56.112")))
    back = load(second, roll(office("H56.112"), office("H56.113")))
    assert told(since(back, FIRST.cursor)) == (False, [], [])
    assert told(since(back, second.cursor)) == (False, ["H56.113"], [])


def test_group_that_changes_is_told() -> None:
    second = load(FIRST, roll(office("H56.112"), office("H56.113"), groups=(GROUP,)))
    said = since(second, FIRST.cursor)
    assert told(said) == (False, [], [])
    assert [one["code"] for one in said["groups"]] == ["H56.G"]


def test_certificate_of_an_office_is_no_news() -> None:
    second = load(FIRST, roll(replace(office("H56.112"), certificates=("PEM",)), office("H56.113")))
    assert second.cursor == FIRST.cursor
    assert second.version != FIRST.version


def test_history_is_bounded() -> None:
    now = FIRST
    for number in range(120):
        now = following(now, roll(office("H56.112", f"Tên {number}"), office("H56.113")))
    assert (len(now.history.known), now.history.number) == (100, 120)
    assert told(since(now, FIRST.cursor))[0]
