"""Processes are killed, told to stop, and frozen."""

import asyncio
import os
import random
import signal

from tests.fault.trial import ADDRESSEES, SENDER, Trial

_KILL_PARENT = 0.25
_ZOMBIE_S = 40.0  # Longer than the broker waits for a heartbeat, twice 15 s: to it, and to the others, it is dead.


async def kill_axis(trial: Trial, _draw: random.Random) -> None:
    """Router, gateway and clock are one process."""
    await trial.kill("axis")
    await trial.until_ready()


async def kill_router_or_gateway(trial: Trial, draw: random.Random) -> None:
    """One of the two, each a process of its own; the other goes on."""
    await trial.kill(draw.choice(("router", "gateway")))


async def kill_one_of_several(trial: Trial, draw: random.Random) -> None:
    """One router; the others go on, and `axis up` starts it again. Once in a while `axis up` itself goes."""
    if draw.random() < _KILL_PARENT:
        return await kill_axis(trial, draw)
    victim = draw.choice(trial.router_pids())
    trial.done["kill -9"] += 1
    os.kill(victim, signal.SIGKILL)
    await trial.until_true(lambda: victim not in trial.router_pids())
    return None


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
        assert await trial.laboratory.stop(name) == 0
    await trial.start_axis()
    await trial.start_office(addressee)


async def freeze(trial: Trial, draw: random.Random) -> None:
    """For as long as nobody need notice."""
    await _frozen(trial, draw.choice(("axis", *ADDRESSEES)), draw.uniform(0.5, 3))


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


async def _frozen(trial: Trial, name: str, for_s: float) -> None:
    trial.done["SIGSTOP"] += 1
    trial.signal(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        trial.signal(name, signal.SIGCONT)
