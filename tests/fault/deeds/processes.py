"""Processes are killed, told to stop, and frozen."""

import asyncio
import itertools
import os
import random
import resource
import signal
from pathlib import Path

from tests.fault.trial import ADDRESSEES, SENDER, Trial

_KILL_PARENT = 0.25
_ZOMBIE_S = 40.0  # Longer than the broker waits for a heartbeat, twice 15 s: to it, and to the others, it is dead.


async def kill_axis(trial: Trial, draw: random.Random) -> None:
    """`axis up` with its router, `axis up` alone, or the router alone."""
    match draw.choice(("both", "parent", "router")):
        case "both":
            await trial.kill("axis")
        case "parent":
            await trial.kill_alone("axis")
        case _:
            await trial.kill_router(trial.router_pids()[0])
    await trial.until_ready()


async def kill_router_or_gateway(trial: Trial, draw: random.Random) -> None:
    """One of the two, each a process of its own; the other goes on."""
    await trial.kill(draw.choice(("router", "gateway")))


async def kill_one_of_several(trial: Trial, draw: random.Random) -> None:
    """One router; the others go on, and `axis up` starts it again. Once in a while `axis up` itself goes."""
    if draw.random() < _KILL_PARENT:
        await trial.kill("axis")
        await trial.until_ready()
    else:
        await trial.kill_router(draw.choice(trial.router_pids()))


async def kill_addressee(trial: Trial, draw: random.Random) -> None:
    """In whatever it is doing."""
    await trial.kill(draw.choice(ADDRESSEES))


async def kill_sender(trial: Trial, _draw: random.Random) -> None:
    """In whatever it is doing."""
    await trial.kill(SENDER)


async def stop_in_order(trial: Trial, draw: random.Random) -> None:
    """SIGTERM, as an administrator's restart; the private node is stopped with the axis."""
    addressee = draw.choice(ADDRESSEES)
    for name in (addressee, "axis"):
        trial.done["SIGTERM"] += 1
        await trial.until_heeds(name)
        assert await trial.laboratory.stop(name) == 0
    await trial.start_axis()
    await trial.start_office(addressee)


async def freeze(trial: Trial, draw: random.Random) -> None:
    """The gateway, its router or an office, for as long as nobody need notice."""
    trial.done["SIGSTOP"] += 1
    pid = draw.choice(_pids(trial))
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(draw.uniform(0.5, 3))
    finally:
        os.kill(pid, signal.SIGCONT)


async def exhaust_descriptors(trial: Trial, draw: random.Random) -> None:
    """The axis, its router or an office may open nothing more for some seconds, neither file nor connection."""
    trial.done["times without descriptors"] += 1
    pid = draw.choice(_pids(trial))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    held = {int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in itertools.count() if number not in held)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        await asyncio.sleep(draw.uniform(3, 8))
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


async def make_zombies(trial: Trial, draw: random.Random) -> None:
    """Freeze a router and an office until they count as dead and others have their work; then let them go on with it."""
    router, office = draw.choice(trial.router_pids()), draw.choice(ADDRESSEES)
    os.kill(router, signal.SIGSTOP)
    trial.signal(office, signal.SIGSTOP)
    trial.done["zombies"] += 2
    try:
        await asyncio.sleep(_ZOMBIE_S)
    finally:
        os.kill(router, signal.SIGCONT)
        trial.signal(office, signal.SIGCONT)


def _pids(trial: Trial) -> list[int]:
    """Return the processes of gateway, addressees and routers."""
    named = [trial.laboratory.running[name].process.pid for name in ("axis", *ADDRESSEES)]
    return [*named, *trial.router_pids()]


async def freeze_one(trial: Trial, name: str, for_s: float) -> None:
    """A process of the trial, for so long."""
    trial.done["SIGSTOP"] += 1
    trial.signal(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        trial.signal(name, signal.SIGCONT)
