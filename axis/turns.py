"""Turns: how long a process keeps a processor that others wait for.

Linux lets whoever wakes up interrupt whoever is at work. Broker, router and
offices pass work on to each other all the time; where they share a few
processors they interrupt each other thousands of times a second, and each finds
its caches filled by the others. Nobody of them gains by that: what comes
together is done together. So they wait until the one at work has had its turn, a
few milliseconds, or waits itself. Their share of a processor stays the same, and
where one is idle nobody waits.

Spec: sched(7), SCHED_BATCH; docs/adr/0037.
"""

import contextlib
import os


def interrupt_nobody(pid: int = 0) -> None:
    """Let a process wait for its turn. Call it before the process has threads, which take after the one that begins them.

    Args:
        pid: Of a process that has just been started, and will take what it starts after it; 0: this one.
    """
    if hasattr(os, "SCHED_BATCH"):  # Linux alone has it.
        with contextlib.suppress(OSError):  # It has ended, or the machine does not let us: then it is as it was.
            os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
