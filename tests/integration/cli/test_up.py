"""`axis up` that is told to end before it is ready leaves no process behind."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.fault.trial import Trial
from tests.laboratory import axis

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_its_broker_ends_with_it_also_while_it_starts(told: signal.Signals, tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    await asyncio.to_thread(trial.make_keys)
    try:
        await trial.laboratory.start("axis", *axis("up"), more=trial.settings_of("axis"))
        await trial.until_true(lambda: trial.node.pid is not None)
        trial.laboratory.running["axis"].process.send_signal(told)
        code = await trial.laboratory.stop("axis", signal.SIGTERM)  # Again: it goes on with cleaning up.
        assert trial.node.pid is None
    finally:
        await trial.laboratory.stop_all()
        await trial.node.stop()
    log = (tmp_path / "logs" / "axis.log").read_text(encoding="utf-8")
    assert "broker: stopped" in log
    assert "axis: ready" not in log
    assert code == (0 if told is signal.SIGTERM else 130), log
