"""Events: what a function is told stands in the line, and nothing of it under a key that every line has."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from axis.telemetry import events

_OWN = {"event", "level", "service", "timestamp"}  # Of every line.
_SOME: dict[Any, object] = {
    str: "a text",
    int: 3,
    float: 0.5,
    list[str]: ["a text"],
    str | None: None,
    datetime: datetime(2026, 8, 25, tzinfo=UTC),
    datetime | None: None,
    BaseException: ValueError("an error"),
}


def _functions() -> list[tuple[str, Callable[..., None]]]:
    found = inspect.getmembers(events, inspect.isfunction)
    return [(name, one) for name, one in found if not name.startswith("_") and one is not events.configure]


def _write_all() -> None:
    events.configure(level="debug", json=True, service="a service")
    for _, function in _functions():
        asked = inspect.signature(function).parameters.values()
        function(**{one.name: _SOME[one.annotation] for one in asked})


def test_line_keeps_its_level_and_all_that_it_was_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {__name__} as test; test._write_all()"],
        capture_output=True,
        check=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == len(_functions())
    for (name, function), line in zip(_functions(), lines, strict=True):
        assert line["level"] in ("debug", "info", "warning", "error"), name
        assert line["service"] == "a service", name
        assert len(line.keys() - _OWN) == len(inspect.signature(function).parameters), name
