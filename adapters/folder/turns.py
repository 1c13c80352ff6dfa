"""Turns: one thing that cannot be worked on holds up no other.

People reach into the folders: they lock files, take rights away, leave what we
cannot read. Each thing has its turn, whatever became of the one before it. What
fails gets its next turn after a while that grows, so that it is told, and not
every second.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from axis import TransientError

_FIRST_S, _LONGEST_S = 2.0, 300.0


@dataclass(slots=True)
class Turns:
    """The turns of the things in one place."""

    _waits: dict[Path, tuple[float, float]] = field(default_factory=dict)  # Of what failed: how long, and until when.

    async def each(self, paths: Iterable[Path], work: Callable[[Path], Awaitable[None]]) -> None:
        """Work on one path after the other.

        Raises:
            ExceptionGroup: What went wrong with some of them, when all have had their turn.
            TransientError: The office cannot be spoken to now, and no path is to blame.
        """
        failures: list[Exception] = []
        paths = list(paths)
        self._waits = {path: self._waits[path] for path in paths if path in self._waits}
        for path in paths:
            wait, until = self._waits.get(path, (0.0, 0.0))
            if time.monotonic() < until:
                continue
            try:
                await work(path)
            except TransientError:
                raise
            except Exception as failure:
                failure.add_note(f"{path}")
                failures.append(failure)
                wait = min(2 * wait, _LONGEST_S) or _FIRST_S
                self._waits[path] = (wait, time.monotonic() + wait)
            else:
                self._waits.pop(path, None)
        if failures:
            raise ExceptionGroup("some things could not be worked on; they are tried again", failures)
