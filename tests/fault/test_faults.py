"""Each fault with each seed: nothing lost, nothing doubled, everything heard of.

`make fault` runs all of them, two at a time, and prints a table; `make fault F=F09` one, with
`SEEDS=1,2,3` other seeds than its own. `make test` runs those that say `always`.
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

pytestmark = pytest.mark.xdist_group("trials")  # One at a time: what recovers is timed.

_WANTED = os.environ.get("F", "").upper()
_SEEDS = os.environ.get("SEEDS", "")
_WITHIN_S = 150.0


def _cases() -> Iterator[object]:
    for name, fault in FAULTS.items():
        seeds = map(int, _SEEDS.split(",")) if _SEEDS else range(1, fault.seeds + 1)
        for seed in seeds:
            if _WANTED in ("", name):
                marks = () if fault.always and seed == 1 else (pytest.mark.fault,)
                yield pytest.param(name, seed, id=f"{name}-seed{seed}", marks=marks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "seed"), list(_cases()))
async def test_nothing_is_lost_and_nothing_doubled(
    name: str, seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fault, draw = FAULTS[name], random.Random(f"{name} {seed}")
    if not fault.needs():
        pytest.skip("this machine does not let us: only root may mount disks, cut connections and trace processes")
    async with trial(tmp_path / "trial", fault.conditions, f"{name} {seed}") as running:
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
                str(found.asked_again),
                f"{recovered_s:.1f} s",
            ),
        )
        record_property(SUM, dict(running.done))
        assert found.documents == fault.conditions.documents + len(running.others)
        assert found.is_clean, f"{found}\n{running.told()}"
