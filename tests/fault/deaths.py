"""Deaths: every process of a trial may be made to kill itself at exact points of its code, one after the other.

A point is a function of the product, before it is called or after it has
returned. What runs in the process is in `death/sitecustomize`; the product has
no hook for it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.fault.death.sitecustomize import MARKS, POINTS

_FIRST = Path(__file__).with_name("death")  # See sitecustomize there.


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the code where dying matters."""

    process: str  # Of the trial: "router", "gateway", or the code of an office.
    when: Literal["before", "after"]
    place: str  # MODULE:NAME of a function.
    proves: str  # What is on a disk by then, and what is not.
    most: int = 10  # It is one of the first so many calls.

    @property
    def mark(self) -> str:
        """The file that says that the process has died here."""
        return f"{self.place} {self.when}"


@dataclass(frozen=True, slots=True)
class Deaths:
    """The points of a trial, and where processes leave their marks."""

    folder: Path
    points: Sequence[Point]
    seed: str  # Draws the calls.

    def of(self, process: str) -> dict[str, str]:
        """Return the environment of a process."""
        mine = [point for point in self.points if point.process == process]
        if not mine:
            return {}
        marks = self.folder / process
        marks.mkdir(parents=True, exist_ok=True)
        draw = random.Random(f"{self.seed} {process}")
        named = (f"{point.mark} {draw.randint(1, point.most)}" for point in mine)
        return {POINTS: ";".join(named), MARKS: str(marks), "PYTHONPATH": str(_FIRST)}

    def left(self) -> list[Point]:
        """Return the points where nobody has died yet."""
        return [point for point in self.points if not (self.folder / point.process / point.mark).exists()]
