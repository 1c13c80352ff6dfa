"""Turns: one thing that cannot be worked on holds up no other.

People reach into the folders: they lock files, take rights away, leave what we
cannot read. Each thing has its turn, whatever became of the one before it. What
fails gets its next turn after a while that grows, so that it is told, and not
every second. A share that is away is looked for every second, and told of as
seldom.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from axis import TransientError

_FIRST_S, _LONGEST_S = 2.0, 300.0


@dataclass(slots=True)
class Reach:
    """Whether the folders can be reached; several loops ask."""

    make: Callable[[], None]
    _wait: float = field(default=0.0, init=False)
    _until: float = field(default=0.0, init=False)

    def holds(self) -> bool:
        """Make what is missing; return False where that fails and was told a while ago.

        Raises:
            OSError: It fails, and that is to be told.
        """
        try:
            self.make()
        except OSError:
            if time.monotonic() < self._until:
                return False
            self._wait = _longer(self._wait)
            self._until = time.monotonic() + self._wait
            raise
        self._wait = self._until = 0.0
        return True


def _longer(wait_s: float) -> float:
    return min(2 * wait_s, _LONGEST_S) or _FIRST_S


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
                wait = _longer(wait)
                self._waits[path] = (wait, time.monotonic() + wait)
            else:
                self._waits.pop(path, None)
        if failures:
            raise ExceptionGroup("some things could not be worked on; they are tried again", failures)
