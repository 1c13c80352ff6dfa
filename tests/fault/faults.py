"""The faults: what is done to a trial, and how often. Each is a coroutine that leaves everything running again."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from axis.broker import topology
from tests.fault.trial import ADDRESSEES, SENDER, Trial

_KILL_PARENT = 0.25
Deed = Callable[[Trial, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    what: str
    deed: Deed
    times: int
    on_postgresql: bool = False
    routers: int = 1
    hostile: bool = False


async def _kill_axis(trial: Trial, _draw: random.Random) -> None:
    await trial.laboratory.kill("axis")
    await trial.start_axis()


async def _kill_router(trial: Trial, draw: random.Random) -> None:
    """One of several; the others go on, and `axis up` starts it again. Once in a while `axis up` itself goes."""
    if draw.random() < _KILL_PARENT:
        return await _kill_axis(trial, draw)
    victim = draw.choice(trial.router_pids())
    os.kill(victim, signal.SIGKILL)
    async with asyncio.timeout(30):
        while victim in trial.router_pids():  # noqa: ASYNC110 - Another process starts it.
            await asyncio.sleep(0.1)
    return None


async def _stop(trial: Trial, draw: random.Random) -> None:
    """SIGTERM, as an administrator's restart; the private node is stopped with the axis."""
    addressee = draw.choice(ADDRESSEES)
    assert await trial.laboratory.stop(addressee) == 0
    assert await trial.laboratory.stop("axis") == 0
    await trial.start_axis()
    await trial.start_office(addressee)


async def _freeze(trial: Trial, draw: random.Random) -> None:
    process = trial.laboratory.running[draw.choice(("axis", *ADDRESSEES))].process
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(draw.uniform(0.5, 3))
    process.send_signal(signal.SIGCONT)


async def _kill_addressee(trial: Trial, draw: random.Random) -> None:
    code = draw.choice(ADDRESSEES)
    await trial.laboratory.kill(code)
    await trial.start_office(code)


async def _kill_sender(trial: Trial, _draw: random.Random) -> None:
    await trial.laboratory.kill(SENDER)
    await trial.start_office(SENDER)


async def _kill_broker(trial: Trial, _draw: random.Random) -> None:
    """The axis starts it again by itself."""
    await asyncio.to_thread(trial.node.kill)
    async with asyncio.timeout(60):
        while trial.node.pid is None:  # noqa: ASYNC110 - Another process starts it.
            await asyncio.sleep(0.1)


async def _restart_broker(trial: Trial, _draw: random.Random) -> None:
    """Its connections are closed, and it comes back with what it held."""
    await trial.node.ctl("stop_app")
    await trial.node.ctl("start_app")


async def _alarm_memory(trial: Trial, draw: random.Random) -> None:
    """Whoever publishes is made to wait; nothing may be taken for published."""
    await trial.node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    await asyncio.sleep(draw.uniform(1, 4))
    await trial.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


async def _alarm_disk(trial: Trial, draw: random.Random) -> None:
    await trial.node.ctl("set_disk_free_limit", "9000GB")
    await asyncio.sleep(draw.uniform(1, 4))
    await trial.node.ctl("set_disk_free_limit", "200MB")


async def _purge(trial: Trial, draw: random.Random) -> None:
    """An operator purges queues while an office does not read its inbox: whatever was in them is gone."""
    reader = trial.laboratory.running[draw.choice((SENDER, *ADDRESSEES))].process
    reader.send_signal(signal.SIGSTOP)
    await asyncio.sleep(draw.uniform(0.3, 1))
    for queue in (topology.SUBMIT, topology.RECEIPTS, topology.inbox(draw.choice(ADDRESSEES)), topology.inbox(SENDER)):
        await trial.node.ctl("purge_queue", queue)
    reader.send_signal(signal.SIGCONT)


async def _kill_ledger(trial: Trial, draw: random.Random) -> None:
    assert trial.postgres is not None
    await asyncio.to_thread(trial.postgres.kill)
    await asyncio.sleep(draw.uniform(0.2, 4))
    await asyncio.to_thread(trial.postgres.start)


async def _lock_ledger(trial: Trial, draw: random.Random) -> None:
    """Somebody holds every delivery locked, as a careless administrator's session does."""
    assert trial.postgres is not None
    await asyncio.to_thread(
        trial.postgres.run, trial.ledger_url, f"BEGIN; LOCK TABLE deliveries; SELECT pg_sleep({draw.uniform(2, 6)})"
    )


async def _forbid_writing(trial: Trial, draw: random.Random) -> None:
    """As after a failover to a copy that is not the leader yet."""
    assert trial.postgres is not None
    for word, for_s in (("on", draw.uniform(1, 4)), ("off", 0.0)):
        for statement in (f"ALTER SYSTEM SET default_transaction_read_only = {word}", "SELECT pg_reload_conf()"):
            await asyncio.to_thread(trial.postgres.run, trial.ledger_url, statement)
        await asyncio.sleep(for_s)


async def _nothing(_trial: Trial, _draw: random.Random) -> None:
    """The load is the fault."""


FAULTS = {
    "F01": Fault("router and gateway: kill -9", _kill_axis, 3),
    "F04": Fault("an addressee's office: kill -9", _kill_addressee, 4),
    "F06": Fault("the sender's office: kill -9", _kill_sender, 4),
    "F07": Fault("axis or addressee: frozen for seconds", _freeze, 4),
    "F08": Fault("everything but the sender: SIGTERM and start", _stop, 2),
    "F09": Fault("broker: kill -9", _kill_broker, 2),
    "F10": Fault("broker: stopped and started in order", _restart_broker, 2),
    "F19": Fault("broker: memory alarm for seconds", _alarm_memory, 2),
    "F20": Fault("broker: disk alarm for seconds", _alarm_disk, 2),
    "F24": Fault("ledger: PostgreSQL killed with kill -9", _kill_ledger, 3, on_postgresql=True),
    "F25": Fault("ledger: a table locked for seconds", _lock_ledger, 2, on_postgresql=True),
    "F30": Fault("queues purged by an operator", _purge, 3),
    "F38": Fault("one of three routers, or axis up: kill -9", _kill_router, 5, on_postgresql=True, routers=3),
    "F45": Fault("one envelope in five is hostile", _nothing, 1, hostile=True),
    "F46": Fault("ledger: PostgreSQL read-only for seconds", _forbid_writing, 2, on_postgresql=True),
}
