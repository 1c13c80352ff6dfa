"""Children, with real processes: started again when they end, stopped with us, never left behind."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from axis import children
from axis.children import Child

_SOON_S = 20.0
# Says that it lives, and ends in order on SIGTERM, or when its parent is gone, as `axis router --with-parent` does.
_WORKER = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.stdin.read()"
_PARENT = f"""
import asyncio, sys
from axis import children
async def main():
    worker = children.Child("worker", (sys.executable, "-c", {_WORKER!r}, sys.argv[1]), {{}})
    async with children.running([worker], print):
        await asyncio.sleep(60)
asyncio.run(main())
"""


def _pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(_SOON_S):
        while not met():  # noqa: ASYNC110 - Another process makes it true.
            await asyncio.sleep(0.05)


async def test_child_that_dies_is_started_again_and_stopped_at_the_end(tmp_path: Path) -> None:
    file, told = tmp_path / "pids", list[str]()
    wanted = [Child(name, (sys.executable, "-c", _WORKER, str(file)), {}) for name in ("one", "two")]
    async with children.running(wanted, told.append):
        await _until(lambda: len(_pids(file)) == 2)
        os.kill(_pids(file)[0], signal.SIGKILL)
        await _until(lambda: len(_pids(file)) == 3)
        assert [_lives(pid) for pid in _pids(file)] == [False, True, True]
    assert not any(map(_lives, _pids(file)))
    assert sum("exit code -9" in text for text in told) == 1


async def test_child_that_cannot_start_is_tried_ever_more_slowly(tmp_path: Path) -> None:
    told: list[str] = []
    async with children.running([Child("bad", (sys.executable, "-c", "raise SystemExit(3)"), {})], told.append):
        await _until(lambda: sum("exit code 3" in text for text in told) == 3)
    assert [text.split()[-2] for text in told if "exit code 3" in text] == ["0.5", "1", "2"]


async def test_child_is_told_when_its_parent_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", _PARENT, str(file))
    await _until(lambda: len(_pids(file)) == 1)
    parent.kill()
    await parent.wait()
    await _until(lambda: not _lives(_pids(file)[0]))
