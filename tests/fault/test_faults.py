"""Each fault with each seed: nothing lost, nothing doubled, everything heard of.

`make fault` runs all of them and prints a table; `make fault F=F09` one, with
`SEEDS=1,2,3` others. `make test` runs those that are marked below as its own.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.conftest import ROWS
from tests.fault.faults import FAULTS
from tests.fault.trial import trial

_SEEDS = tuple(map(int, os.environ.get("SEEDS", "1,2").split(",")))
_WANTED = os.environ.get("F", "").upper()
_ALWAYS = {("F01", 1), ("F09", 1), ("F38", 1)}  # What make test runs too: those that find most.
_DOCUMENTS = 150
_WITHIN_S = 100.0


def _cases() -> Iterator[object]:
    for name in FAULTS:
        for seed in _SEEDS:
            if _WANTED in ("", name):
                marks = () if (name, seed) in _ALWAYS else (pytest.mark.fault,)
                yield pytest.param(name, seed, id=f"{name}-seed{seed}", marks=marks)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "seed"), list(_cases()))
async def test_nothing_is_lost_and_nothing_doubled(name: str, seed: int, tmp_path: Path) -> None:
    fault, draw = FAULTS[name], random.Random(seed)
    folder = tmp_path / "trial"
    async with trial(
        folder, _DOCUMENTS, on_postgresql=fault.on_postgresql, routers=fault.routers, hostile=fault.hostile
    ) as running:
        await running.until(_DOCUMENTS // 10)
        for _ in range(fault.times):
            await asyncio.sleep(draw.uniform(0.1, 2.5))
            await fault.deed(running, draw)
        recovered_s = await running.settle(within_s=_WITHIN_S)
        found = await running.reckon(recovered_s)
        assert running.laboratory.dead() == []
    ROWS.append(
        f"{name}  seed {seed:<3} {fault.what:<48} x{fault.times}  {found.documents:>4} documents  "
        f"{found.lost:>2} lost  {found.doubled:>2} doubled  {found.asked_twice:>3} asked twice  "
        f"recovered in {found.recovered_s:5.1f} s"
    )
    assert found.documents == _DOCUMENTS
    assert found.is_clean, f"{found}\n{running.told()}"
