"""Every point is one, and the mechanism does what it says: a rename in the product is noticed here at once."""

import importlib
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tests.fault.death.sitecustomize import find
from tests.fault.deaths import Deaths, Point
from tests.fault.faults import FAULTS

_POINTS = sorted({point.place for fault in FAULTS.values() for point in fault.conditions.points})


@pytest.mark.parametrize("place", _POINTS)
def test_point_is_a_function_of_the_product(place: str) -> None:
    _, name, function = find(place, importlib.import_module(place.partition(":")[0]))
    assert function.__name__ == name


def test_no_process_dies_twice_at_one_point_of_a_trial() -> None:
    for fault in FAULTS.values():
        marks = [(point.process, point.mark) for point in fault.conditions.points]
        assert len(marks) == len(set(marks))


def test_process_dies_at_one_point_after_the_other_and_then_lives(tmp_path: Path) -> None:
    (tmp_path / "product.py").write_text(
        "import asyncio\n"
        "class Room:\n"
        "    async def work(self):\n"
        "        print('worked', flush=True)\n"
        "def rest():\n"
        "    print('rested', flush=True)\n"
        "async def main():\n"
        "    await Room().work()\n"
        "    rest()\n"
    )
    points = (
        Point("p", "before", "product:Room.work", "", 1),
        Point("p", "after", "product:Room.work", "", 1),
        Point("p", "after", "product:rest", "", 1),
    )
    deaths = Deaths(tmp_path / "deaths", points, "")
    ways: list[object] = []
    for _ in range(4):
        ways.append(_run(tmp_path, deaths))
        ways.append(len(deaths.left()))
    killed = -signal.SIGKILL
    assert ways == [
        (killed, ""),
        2,
        (killed, "worked\n"),
        1,
        (killed, "worked\nrested\n"),
        0,
        (0, "worked\nrested\n"),
        0,
    ]


def test_process_does_not_start_where_a_point_is_gone(tmp_path: Path) -> None:
    (tmp_path / "product.py").write_text("async def main():\n    pass\n")
    code, _ = _run(tmp_path, Deaths(tmp_path / "deaths", (Point("p", "after", "product:gone", ""),), ""))
    assert code == 1


def test_calls_are_drawn_by_the_seed(tmp_path: Path) -> None:
    drawn = {
        seed: Deaths(tmp_path, tuple(chain(*(one.conditions.points for one in FAULTS.values()))), seed).of("router")
        for seed in ("1", "2")
    }
    assert drawn["1"] != drawn["2"]


def _run(folder: Path, deaths: Deaths) -> tuple[int, str]:
    words = (sys.executable, "-c", "import asyncio, product; asyncio.run(product.main())")
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, **deaths.of("p")}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout
