"""Clocks: every process of a trial may have a time of its own, which jumps while it runs.

By libfaketime: the offset stands in a file that each process reads again every
second. Only what time it is jumps; how long something takes does not.

libfaketime 0.9.10 fakes the monotonic clock in `pthread_cond_timedwait` also
where it was told not to: whatever is waited for has then timed out before the
wait begins. In CPython that is the wait of one thread for another to let go of
the interpreter, and a process whose threads have work for it comes to a hundredth
of its speed. Nothing else in our processes waits by that call, so each such wait
is given what CPython asks for, its switch interval.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_LIBRARY = "*/faketime/libfaketimeMT.so.1"
_FIRST = Path(__file__).with_name("clock")  # See sitecustomize there.
READ_EVERY_S = 1.0
_SWITCH_S = 0.005  # sys.getswitchinterval() of a process that has not set it.


@dataclass(frozen=True, slots=True)
class Clocks:
    """A file with an offset for each process."""

    folder: Path

    def of(self, name: str) -> dict[str, str]:
        """Return the environment of a process."""
        file = self.folder / name
        if not file.exists():
            self.set(timedelta(), name)
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": f"{READ_EVERY_S:.0f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_WAIT_MS": f"{_SWITCH_S * 1000:.0f}",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(_FIRST),
        }

    def set(self, offset: timedelta, *names: str) -> None:
        """Let the clocks of some processes be off by `offset` from now on; they notice within a second."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            beside = self.folder / f".{name}"
            beside.write_text(f"{offset.total_seconds():+.0f}\n", encoding="ascii")
            beside.replace(self.folder / name)


def _library() -> Path:
    found = next(Path("/usr/lib").glob(_LIBRARY), None)
    if found is None:
        raise RuntimeError("faketime is not installed: scripts/system-packages test")
    return found
