"""Directory: what every office may know of the roll, and what is new in it since it last asked.

Document systems keep lists of addressees of their own, and to fetch a whole
province every few minutes is what makes those lists old. A cursor is a digest
of what can be known, not a time: whoever has the same content gets nothing, and
whoever brings a cursor that this roll does not remember gets everything.

Spec: docs/protocol/gateway.md 9.
Limits: what changed is remembered for as many loads as are given below.
"""

from dataclasses import replace
from typing import Any

from axis.registry.model import History, Registry

_MOST_LOADS = 100


def following(before: Registry, after: Registry) -> Registry:
    """Return a roll that is put in the place of another, with all that must be remembered of that one."""
    kept = after.remembering(before)
    if not before.by_code:
        return kept
    old, new = before.known, kept.known
    if old == new:
        return replace(kept, history=before.history)
    number = before.history.number + 1
    known = {**before.history.known, before.cursor: number - 1, kept.cursor: number}
    changed = {code: number for code in old.keys() | new.keys() if old.get(code) != new.get(code)}
    return replace(
        kept,
        history=History(
            number=number,
            known={cursor: at for cursor, at in known.items() if at > number - _MOST_LOADS},
            changed={**before.history.changed, **changed},
        ),
    )


def since(roll: Registry, cursor: str) -> dict[str, Any]:
    """Return what is new since a cursor, JSON-ready; everything if the roll does not remember it.

    Args:
        roll: As known now.
        cursor: Of an earlier answer; "" for the first.
    """
    if cursor == roll.cursor:
        return {"cursor": cursor, "whole": False, "offices": [], "gone": []}
    number = roll.history.known.get(cursor)
    codes = roll.by_code if number is None else [code for code, at in roll.history.changed.items() if at > number]
    return {
        "cursor": roll.cursor,
        "whole": number is None,
        "offices": [roll.known[code] for code in sorted(codes) if code in roll.by_code],
        "gone": sorted(code for code in codes if code not in roll.by_code and code not in _OTHERS),
        "groups": roll.known["groups"],
        "tiers": roll.known["tiers"],
    }


_OTHERS = ("groups", "tiers")  # Told as a whole: there are few.
