"""The broker is killed, stopped, robbed of its store and its queues, starved, and outvoted."""

import asyncio
import contextlib
import random
import shutil
import signal
from collections.abc import AsyncIterator

import aio_pika

from axis.broker import topology
from tests.fault.trial import ADDRESSEES, SENDER, Trial

_BACK_S = 90.0
_FEW = '{"max-length": 5}'


async def kill(trial: Trial, _draw: random.Random) -> None:
    """The axis starts it again by itself."""
    trial.done["kill -9 of the broker"] += 1
    before = trial.node.pid
    await asyncio.to_thread(trial.node.kill)
    await trial.until_true(lambda: trial.node.pid not in (None, before), _BACK_S)


async def restart(trial: Trial, _draw: random.Random) -> None:
    """Its connections are closed, and it comes back with what it held."""
    trial.done["restarts"] += 1
    await trial.node.ctl("stop_app")
    await trial.node.ctl("start_app")


async def wipe(trial: Trial, _draw: random.Random) -> None:
    """It dies, and its disk is empty when it is started again: messages, queues, accounts, all of it."""
    trial.done["stores wiped"] += 1
    before = trial.node.pid
    await asyncio.to_thread(trial.node.kill)
    await asyncio.to_thread(shutil.rmtree, trial.data / "broker" / "mnesia", ignore_errors=True)
    await trial.until_true(lambda: trial.node.pid not in (None, before), _BACK_S)


async def alarm_memory(trial: Trial, draw: random.Random) -> None:
    """Whoever publishes is made to wait; nothing may be taken for published."""
    trial.done["alarms"] += 1
    await trial.node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    await asyncio.sleep(draw.uniform(1, 8))
    await trial.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


async def alarm_disk(trial: Trial, draw: random.Random) -> None:
    """The same, and it lasts longer than a publish does."""
    trial.done["alarms"] += 1
    await trial.node.ctl("set_disk_free_limit", "9000GB")
    await asyncio.sleep(draw.uniform(10, 20))
    await trial.node.ctl("set_disk_free_limit", "200MB")


async def purge(trial: Trial, draw: random.Random) -> None:
    """An operator purges queues while an office does not read its inbox: whatever was in them is gone."""
    trial.done["purges"] += 1
    async with _asleep(trial, draw):
        for queue in _some_queues(draw):
            await trial.node.ctl("purge_queue", queue)


async def delete(trial: Trial, draw: random.Random) -> None:
    """An operator deletes queues, in use or not."""
    async with _asleep(trial, draw):
        connection = await aio_pika.connect(trial.node.url)
        async with connection, connection.channel() as channel:
            for queue in (*_some_queues(draw), topology.DEAD):
                trial.done["queues deleted"] += 1
                await channel.queue_delete(queue)


def _some_queues(draw: random.Random) -> tuple[str, ...]:
    return (topology.SUBMIT, topology.RECEIPTS, *topology.inboxes(draw.choice(ADDRESSEES)), topology.inbox(SENDER))


@contextlib.asynccontextmanager
async def _asleep(trial: Trial, draw: random.Random) -> AsyncIterator[None]:
    reader = draw.choice((SENDER, *ADDRESSEES))
    trial.signal(reader, signal.SIGSTOP)
    try:
        await asyncio.sleep(draw.uniform(0.3, 1))
        yield
    finally:
        trial.signal(reader, signal.SIGCONT)


async def overflow(trial: Trial, draw: random.Random) -> None:
    """Queues take five messages and say no to the next, while the office whose inbox that is does not read it."""
    trial.done["queues too short"] += 1
    office = draw.choice(ADDRESSEES)
    short = f"^({'|'.join((topology.SUBMIT, topology.RECEIPTS, *topology.inboxes(office)))})$"
    await trial.node.ctl("set_policy", "--apply-to", "queues", "short", short, _FEW)
    trial.signal(office, signal.SIGSTOP)
    try:
        await asyncio.sleep(draw.uniform(3, 8))
    finally:
        trial.signal(office, signal.SIGCONT)
        await trial.node.ctl("clear_policy", "short")


# --- a cluster of three ---------------------------------------------------------------------


async def kill_leader(trial: Trial, draw: random.Random) -> None:
    """The node that leads a queue in use dies, and comes back later."""
    assert trial.cluster is not None
    trial.done["leaders killed"] += 1
    queue = draw.choice((topology.SUBMIT, topology.RECEIPTS, topology.inbox(draw.choice(ADDRESSEES))))
    leader = await trial.cluster.leader_of(queue)
    await asyncio.to_thread(trial.cluster.nodes[leader].kill)
    await asyncio.sleep(draw.uniform(5, 10))
    await trial.cluster.start(leader)


async def kill_majority(trial: Trial, draw: random.Random) -> None:
    """Two of three die: what is left can confirm nothing."""
    assert trial.cluster is not None
    trial.done["majorities killed"] += 1
    victims = draw.sample(range(len(trial.cluster.nodes)), 2)
    for number in victims:
        await asyncio.to_thread(trial.cluster.nodes[number].kill)
    await asyncio.sleep(draw.uniform(5, 15))
    await trial.cluster.start(*victims)


async def kill_all(trial: Trial, draw: random.Random) -> None:
    """All three die at once, as when the power fails."""
    assert trial.cluster is not None
    trial.done["clusters killed"] += 1
    for node in trial.cluster.nodes:
        await asyncio.to_thread(node.kill)
    await asyncio.sleep(draw.uniform(1, 5))
    await trial.cluster.start(*range(len(trial.cluster.nodes)))
