"""Moves: what a status is after the one before it, in the life of a dossier or a task.

Spec: docs/protocol/contents.md 3.7, 4.5.
"""

from enum import StrEnum


class Move(StrEnum):
    """What a status is after the one before it."""

    FIRST = "first"
    NEXT = "next"
    SAME = "same"  # Said again, perhaps with other data.
    GAP = "gap"  # A way leads there over others, which were not told or are still on theirs.
    LATE = "late"  # It came to be so before what was told already.
    IMPOSSIBLE = "impossible"
