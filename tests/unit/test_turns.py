"""Turns: our processes, and what they start, ask for batch scheduling; nothing fails where they may not."""

import os
import subprocess
import sys

import pytest

from axis import turns

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux alone has it")

# Tests that ran before in this process may have begun an office in it, and it starts others as it is itself.
_AS_USUAL = "import os; os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)); "
_ASKED = _AS_USUAL + "from axis import turns; turns.interrupt_nobody(); print(os.sched_getscheduler(0))"
_THREAD = (
    _ASKED
    + "; import threading; t = threading.Thread(target=lambda: print(os.sched_getscheduler(0))); t.start(); t.join()"
)


def test_process_asks_for_it_and_its_threads_take_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", _THREAD], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(os.SCHED_BATCH)] * 2


def test_what_was_just_started_is_asked_for_with_what_it_starts() -> None:
    waits = "import sys, subprocess; sys.stdin.readline(); subprocess.run([sys.executable, '-c', sys.argv[1]])"
    shows = "import os; print(os.sched_getscheduler(0))"
    with subprocess.Popen(
        [sys.executable, "-c", waits, shows], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        os.sched_setscheduler(process.pid, os.SCHED_OTHER, os.sched_param(0))
        ours = os.sched_getscheduler(0)
        turns.interrupt_nobody(process.pid)
        said, _ = process.communicate("go\n", timeout=30)

    assert said.strip() == str(os.SCHED_BATCH)
    assert os.sched_getscheduler(0) == ours, "it was another process that was meant"


def test_process_that_has_ended_is_let_be() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    turns.interrupt_nobody(ended.pid)
