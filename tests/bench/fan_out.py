"""Fan-out: one document to very many offices.

The goal: to 700 offices in 10 s and to 3,321 in 60 s, from handing in until the
last *delivered* has come home, and a cost for each addressee that does not grow
with their number. A crowd answers for the offices (`crowd.py`).
"""

from dataclasses import dataclass

from tests.bench.meters import MIB, each_ms, forget_peak, less, memory_bytes
from tests.bench.order import Order
from tests.bench.stand import Stand

GOALS_S = {700: 10.0, 3_321: 60.0}
_WARMING = 10
_FILE_BYTES = 100 * 1024
_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """One document to so many."""

    addressees: int
    accepted_s: float  # Until the receipt of acceptance was heard.
    delivered_s: float  # Until every addressee's receipt was heard.
    cpu_ms: dict[str, float]  # For each addressee, by process.
    axis_peak_mib: float  # Growth of the axis's peak memory.
    broker_mib: float  # Held by the broker afterwards.
    axis_started_s: float  # With the queues of every office to be declared.


def offices(number: int) -> tuple[str, ...]:
    """Return codes of so many communes."""
    return tuple(f"H56.{1000 + one}" for one in range(number))


async def warm(stand: Stand) -> None:
    """Let every process load what it loads once, the keys of the crowd too."""
    await stand.carry(_order("warm", stand.crowd[:_WARMING]), within_s=_WITHIN_S)


async def measure(stand: Stand, number: int) -> FanOut:
    """Send one document to the first so many offices of the crowd."""
    forget_peak(stand.axis_pid)
    held, before = memory_bytes(stand.axis_pid, "VmRSS"), stand.cpu()
    seen = await stand.carry(_order(f"fan-{number}", stand.crowd[:number]), within_s=_WITHIN_S)
    used, peak = less(stand.cpu(), before), memory_bytes(stand.axis_pid, "VmHWM")
    (one,) = seen.values()
    return FanOut(
        addressees=number,
        accepted_s=round(one.heard["accepted"] - one.due, 2),
        delivered_s=round(one.ended - one.due, 2),
        cpu_ms=each_ms(used, number),
        axis_peak_mib=round(max(0, peak - held) / MIB, 1),
        broker_mib=round(memory_bytes(stand.node.pid or 0, "VmRSS") / MIB),
        axis_started_s=round(stand.started_s, 1),
    )


def _order(name: str, addressees: tuple[str, ...]) -> Order:
    return Order(
        name=name, addressees=addressees, documents=1, file_bytes=_FILE_BYTES, per_s=None, levels=("delivered",)
    )
