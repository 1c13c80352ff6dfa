"""Each fault with each seed: nothing lost, nothing doubled, everything heard of.

`make fault` runs all of them and prints a table; `make fault F=F09` one, with
`SEEDS=1,2,3` others. `make test` runs those that are marked below as its own.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault.conftest import ROW, SUM
from tests.fault.faults import FAULTS
from tests.fault.trial import trial

_SEEDS = tuple(map(int, os.environ.get("SEEDS", "1,2").split(",")))
_WANTED = os.environ.get("F", "").upper()
_ALWAYS = {("F01", 1), ("F09", 1), ("F38", 1)}  # What make test runs too: those that find most.
_WITHIN_S = 150.0


def _cases() -> Iterator[object]:
    for name in FAULTS:
        for seed in _SEEDS:
            if _WANTED in ("", name):
                marks = () if (name, seed) in _ALWAYS else (pytest.mark.fault,)
                yield pytest.param(name, seed, id=f"{name}-seed{seed}", marks=marks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "seed"), list(_cases()))
async def test_nothing_is_lost_and_nothing_doubled(
    name: str, seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fault, draw = FAULTS[name], random.Random(f"{name} {seed}")
    async with trial(tmp_path / "trial", fault.conditions) as running:
        await running.until(fault.conditions.documents // 10)
        for _ in range(fault.times):
            await asyncio.sleep(draw.uniform(*fault.pauses_s))
            await fault.deed(running, draw)
        recovered_s = await running.settle(within_s=_WITHIN_S)
        found = await running.reckon(recovered_s)
        assert running.laboratory.dead() == []
        injected = ", ".join(f"{number} {kind}" for kind, number in running.done.items())
        record_property(
            ROW,
            (
                name,
                str(seed),
                fault.what,
                injected,
                str(found.documents),
                str(found.lost),
                str(found.doubled),
                f"{recovered_s:.1f} s",
            ),
        )
        record_property(SUM, dict(running.done))
        assert found.documents == fault.conditions.documents + len(running.others)
        assert found.is_clean, f"{found}\n{running.told()}"
