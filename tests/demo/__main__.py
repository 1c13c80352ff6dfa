"""`python -m tests.demo`: play the day, reckon, stop everything. Exit code 0 if all came as it ought to."""

import asyncio
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console

from axis import clock, ledger
from axis.edxml.values import VIETNAM, local_date
from tests.demo import reckoning
from tests.demo.day import LARGE_BYTES, Day
from tests.demo.papers import Desk
from tests.demo.province import Province
from tests.demo.watch import Watch
from tests.laboratory import Laboratory

_SETTLE_S = 90.0
_ENDED_WELL = (0, -signal.SIGTERM)  # A web server says by its signal that it was told to stop, after it has cleaned up.


async def main(folder: Path, console: Console, large_bytes: int = LARGE_BYTES) -> int:
    """Play the demonstration in a new folder.

    Args:
        folder: Made here; everything of this run is in it.
        console: Where it is told.
        large_bytes: Size of the large attachment.
    """
    began = time.monotonic()
    folder.mkdir(parents=True)
    watch = Watch(console)
    laboratory = Laboratory(folder)
    province = Province(folder, laboratory, watch.say)
    watch.say(f"{folder}: mọi thứ của lần chạy này / everything of this run (1 GB; make clean removes it)")
    try:
        watch.say("tạo khóa và chứng thư / making keys and certificates")
        await province.make_keys()
        watch.say("khởi động trục với RabbitMQ riêng / starting the axis with a private RabbitMQ")
        await province.start_axis(watch.heard)
        watch.say("khởi động năm đơn vị / starting five offices")
        await province.start_offices()
        day = Day(province, Desk(folder / "documents", local_date(clock.now())), watch, large_bytes)
        async with ledger.Ledger.open(f"sqlite:///{province.data / 'ledger.sqlite'}") as book:
            async with day.clerk():
                await day.play()
                await _until_settled(book, day, watch)
            result = await reckoning.reckon(book, day.handed, province.data / "trust", folder / "receipts")
    finally:
        watch.say("dừng mọi tiến trình / stopping everything")
        ended = await laboratory.stop_all()
    result.wrong += day.surprises
    result.wrong += [f"{name} ended with {code}" for name, code in ended.items() if code not in _ENDED_WELL]
    result.show(console)
    for wrong in result.wrong:
        console.print(f"! {wrong}", style="red", markup=False)
    console.print(
        f"văn bản / documents: {folder / 'documents'}\nbiên nhận / receipts: {folder / 'receipts'}", markup=False
    )
    console.print(f"({time.monotonic() - began:.0f} s, {os.cpu_count()} CPU)", markup=False)
    console.print(result.line, markup=False, soft_wrap=True)
    return 0 if result.good else 1


async def _until_settled(book: ledger.Ledger, day: Day, watch: Watch) -> None:
    """Wait until nothing is on its way; what is still waiting then is told by the reckoning."""
    watch.say("chờ mọi chuyển giao kết thúc / waiting for every delivery to end")
    deadline = time.monotonic() + _SETTLE_S
    calm = 0
    while calm < 3 and time.monotonic() < deadline:
        calm = calm + 1 if await reckoning.settled(book, day.handed) else 0
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    stamp = f"{datetime.now(VIETNAM):%Y%m%d-%H%M%S}"
    wide = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    sys.exit(asyncio.run(main(Path("var/demo").absolute() / f"run-{stamp}", wide)))
