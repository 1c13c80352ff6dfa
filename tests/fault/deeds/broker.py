"""The broker is killed, stopped, robbed of its store and its queues, starved, set otherwise, and outvoted."""

import asyncio
import contextlib
import random
import shutil
import signal
from collections.abc import AsyncIterator

import aio_pika

from axis.broker import topology
from tests.fault.deeds import ledger
from tests.fault.partition import cut
from tests.fault.trial import ADDRESSEES, FLOODER, SENDER, Trial
from tests.laboratory import axis

_BACK_S = 90.0
_FEW = '{"max-length": 5}'
_OTHER = {"x-max-length": 1_000}  # As long as no queue of ours is.
_NEWCOMER = "newcomer"
_WRONG_USE = 2  # Exit code.
_SOME = 10  # Documents.
_READERS_TOLD_S = 1.0  # RabbitMQ 3.10 never tells them that a queue is gone which is made again at once.
_PARTED_S = (10, 20)  # Less than a minute: after that nodes give each other up, and a person has to restart one.
_TIMEOUT_S, _TIMEOUT_USUALLY_S = 3, 1_800


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


async def drift(trial: Trial, draw: random.Random) -> None:
    """Somebody has made a queue with other arguments than ours, as between two versions.

    A router that is started now says which queue and what differs, and ends; the one that runs goes on. When the queue
    is gone, it makes it as it ought to be.
    """
    trial.done["queues with other arguments"] += 1
    inboxes = topology.inboxes(draw.choice(ADDRESSEES))
    name = draw.choice((topology.SUBMIT_LATER, topology.RECEIPTS, topology.HEARTBEATS, *inboxes))
    layout = topology.province((SENDER, *ADDRESSEES, FLOODER))
    (queue,) = (one for one in layout.queues if one.name == name)
    connection = await aio_pika.connect(trial.node.url)
    async with connection, connection.channel() as channel:
        with trial.slowly():
            await channel.queue_delete(name)
            await asyncio.sleep(_READERS_TOLD_S)
            drifted = await channel.declare_queue(name, durable=True, arguments=queue.arguments | _OTHER)
            for one in layout.bindings:
                if one.queue == name:
                    await drifted.bind(one.exchange, one.key)
            had, mended = _registered(trial), trial.log_of("router").count("layout.mended")
            code, told = await _start_a_router(trial)
            assert code == _WRONG_USE, told
            assert f"queue {name} exists with other arguments: " in told, told
            assert "x-max-length" in told, told
            await trial.until_true(lambda: _registered(trial) >= had + _SOME)
            await channel.queue_delete(name)
    await trial.until_true(lambda: trial.log_of("router").count("layout.mended") > mended)


def _registered(trial: Trial) -> int:
    return min(map(len, trial.books.registered()))


async def _start_a_router(trial: Trial) -> tuple[int, str]:
    """Start one more router, which is expected to end by itself; return its exit code and what it wrote."""
    settings = trial.settings_of("router") | {"AXIS_ROUTER__METRICS_PORT": "0"}
    await trial.laboratory.start(_NEWCOMER, *axis("router"), more=settings)
    await trial.until_true(lambda: _NEWCOMER in trial.laboratory.dead())
    code = await trial.laboratory.stop(_NEWCOMER)
    return code, " ".join(trial.log_of(_NEWCOMER).split())


async def time_out_consumers(trial: Trial, draw: random.Random) -> None:
    """Whoever keeps a message longer than the broker waits for its ack loses its channel, and gets the message again.

    That happens to offices whose system is slow, and to a router whose ledger is away.
    """
    await _let_consumers_take(trial, _TIMEOUT_S, look_every_s=1)
    await trial.node.ctl("close_all_connections", "channels know only what held when they were opened")
    await ledger.hold_sqlite(trial, draw)
    await _let_consumers_take(trial, _TIMEOUT_USUALLY_S, look_every_s=60)
    logs = (trial.data / "broker" / "log").glob("*.log")
    timed_out = sum(log.read_text(errors="replace").count("timed out waiting for delivery ack") for log in logs)
    trial.done["consumers timed out"] += timed_out
    assert timed_out


async def _let_consumers_take(trial: Trial, most_s: int, *, look_every_s: int) -> None:
    for name, seconds in (("consumer_timeout", most_s), ("channel_tick_interval", look_every_s)):
        await trial.node.ctl("eval", f"application:set_env(rabbit, {name}, {seconds * 1000}).")


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


async def part(trial: Trial, draw: random.Random) -> None:
    """The node that leads a queue, and the two others, do not hear each other: those elect another leader."""
    await _part(trial, draw, peers=2, one_way=False)


async def part_in_half(trial: Trial, draw: random.Random) -> None:
    """The node that leads a queue hears one of the others, and is not heard by it; with the third all is well."""
    await _part(trial, draw, peers=1, one_way=True)


async def _part(trial: Trial, draw: random.Random, *, peers: int, one_way: bool) -> None:
    assert trial.cluster is not None
    trial.done["partitions"] += 1
    queue = draw.choice((topology.SUBMIT, topology.RECEIPTS, topology.inbox(draw.choice(ADDRESSEES))))
    leader = await trial.cluster.leader_of(queue)
    others = draw.sample([number for number in range(len(trial.cluster.nodes)) if number != leader], peers)
    lines = trial.cluster.between(leader, others)
    assert len(lines) >= peers, lines
    with cut(lines, one_way=one_way) as dropped:
        await asyncio.sleep(draw.uniform(*_PARTED_S))
        assert dropped()
