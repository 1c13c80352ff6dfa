"""Meters: what a process has used, what a machine is, and how figures are put together."""

import math
import mmap
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

MIB = 1024 * 1024
_TOUCHED_BYTES = 64 * MIB
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure is spread over documents, in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Return the spread of some times."""
        return cls(*(round(percentile(seconds, part) * 1000, 1) for part in (50, 95, 99)))


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that `part` percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)]


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime, stime


def less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return what was used between two readings, by process."""
    return {name: used - before[name] for name, used in after.items()}


def each_ms(used: Mapping[str, float], number: int) -> dict[str, float]:
    """Return milliseconds for each document or addressee, by process, and their sum."""
    return {name: round(seconds * 1000 / number, 2) for name, seconds in {**used, "all": sum(used.values())}.items()}


def family_cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children, those that have ended too."""
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It ended while we looked.
        if stat.parent.name == str(pid):
            used += sum(map(int, fields[11:15]))  # utime, stime, and those of children that were waited for
        elif fields[1] == str(pid):
            used += int(fields[11]) + int(fields[12])
    return used / _TICKS_PER_S


def machine_s() -> float:
    """Return the processor time that this machine has used for anything at all, or lost to its host."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def page_us() -> float:
    """Return the processor time that a page of memory takes which was free.

    A virtual machine may hand what is free back to its host, and has to ask for it again, which takes several microseconds.
    """
    with mmap.mmap(-1, _TOUCHED_BYTES) as memory:
        began = time.thread_time()
        for at in range(0, _TOUCHED_BYTES, mmap.PAGESIZE):
            memory[at] = 1
        used = time.thread_time() - began
    return round(used * 1_000_000 * mmap.PAGESIZE / _TOUCHED_BYTES, 1)


def memory_bytes(pid: int, field: str) -> int:
    """Return a size of /proc/PID/status: VmRSS is the memory held now, VmHWM the most that was held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {field}")


def forget_peak(pid: int) -> None:
    """Let VmHWM begin again from what is held now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were taken on."""

    cores: int
    gib: float
    model: str

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine, as far as this process may use it."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(len(os.sched_getaffinity(0)), round(pages / 1024**3, 1), _model())


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of what is measured; the broker's is asked of the broker."""
    return {
        "python": platform.python_version(),
        "package": version("document-axis"),
        "commit": _git("describe", "--always", "--dirty", "--exclude=*") or "unknown",
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=_REPOSITORY, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a module of ours."""
    return (sys.executable, "-m", module, *arguments)
