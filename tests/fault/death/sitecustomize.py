"""What every process that is to die at exact points does first: it lays a mine behind or before one function.

The product knows nothing of it. Of the points that the environment names, in
their order, the first without a mark in the trial's folder is armed: when its
module has been imported, the function is wrapped, and at the wrapped call of
the given number the process leaves the mark and kills itself with SIGKILL.
Started again, it goes on to the next point. A point whose function is gone
ends the process with that error; `test_points` finds it sooner.

Limits: this must stand by itself, because it runs before the path is complete.
"""

import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

POINTS = "TRIAL_POINTS"  # "MODULE:NAME before|after CALL; ..."
MARKS = "TRIAL_MARKS"  # Folder with an empty file for each point where a process has died.


@dataclass(frozen=True)
class Mine:
    """One point, and the call at which it goes off."""

    place: str  # MODULE:NAME
    when: str
    call: int  # From 1.

    @classmethod
    def read(cls, text: str) -> "Mine":
        """Read one from the environment."""
        place, when, call = text.split()
        if when not in ("before", "after"):
            raise ValueError(text)
        return cls(place, when, int(call))

    @property
    def mark(self) -> str:
        """Name of the file that says that a process has died here."""
        return f"{self.place} {self.when}"

    @property
    def module(self) -> str:
        """The module of its function."""
        return self.place.partition(":")[0]


def find(place: str, module: ModuleType) -> tuple[Any, str, Callable[..., Any]]:
    """Return what holds the function of a point, its name there, and the function.

    Raises:
        LookupError: There is no such function.
    """
    owner: Any = module
    *outer, name = place.partition(":")[2].split(".")
    for one in outer:
        owner = vars(owner)[one]
    function = vars(owner)[name]
    if not isinstance(function, FunctionType):
        raise LookupError(f"{place} is no plain function")  # A wrapped method would lose what its decorator does.
    return owner, name, function


def wrapped(function: Callable[..., Any], when: str, call: int, die: Callable[[], None]) -> Callable[..., Any]:
    """Return a function that does the same, and dies before or after its call of that number."""
    calls = itertools.count(1)

    def passed(here: str) -> None:
        if here == when and next(calls) == call:
            die()

    if not inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        def calling(*args: Any, **kwargs: Any) -> Any:
            passed("before")
            result = function(*args, **kwargs)
            passed("after")
            return result

        return calling

    @functools.wraps(function)
    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        passed("before")
        result = await function(*args, **kwargs)
        passed("after")
        return result

    return awaiting


class Layer(importlib.abc.MetaPathFinder):
    """Lays a mine when its module has been imported."""

    def __init__(self, mine: Mine, marks: Path) -> None:
        self._mine = mine
        self._marks = marks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as it would be found without us, and see that it is mined before anybody else has it."""
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname == self._mine.module else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_lay(module: ModuleType) -> None:
            execute(module)
            owner, name, function = find(self._mine.place, module)
            setattr(owner, name, wrapped(function, self._mine.when, self._mine.call, self._die))

        spec.loader.exec_module = execute_and_lay  # type: ignore[method-assign]
        return spec

    def _die(self) -> None:
        try:
            os.close(os.open(self._marks / self._mine.mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return  # Another process of the same name was first.
        os.kill(os.getpid(), signal.SIGKILL)


def _arm(points: str, marks: Path) -> None:
    for mine in map(Mine.read, points.split(";")):
        if not (marks / mine.mark).exists():
            sys.meta_path.insert(0, Layer(mine, marks))
            return


if POINTS in os.environ:
    _arm(os.environ[POINTS], Path(os.environ[MARKS]))
