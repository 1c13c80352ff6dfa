"""Pipes outlive what their library does when a line breaks, also where it cancels those who wait for an answer."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from axis.broker import Broker
from axis.broker.pipes import Consumer, _Arrivals
from axis.errors import PermanentError, TransientError


class _Line:
    """A line that breaks in one way after the other; then nothing more happens on it."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.survived = asyncio.Event()

    async def connection(self) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        self.survived.set()
        await asyncio.Event().wait()


async def _ignore(_arrivals: object) -> None:
    raise AssertionError("nothing arrives")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://127.0.0.1/", "amqp:///", "amqp://127.0.0.1:abc/", "amqp://axis:secret@[1/"]
)
async def test_address_of_no_broker_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        async with Broker.connect(url, name="test"):
            pass
    assert caught.value.code == "CFG.INVALID"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ConnectionError(), ZeroDivisionError()])
async def test_reader_goes_on_whatever_its_line_raises(error: BaseException) -> None:
    line = _Line(error, error)
    consumer = Consumer(cast(Any, line), {"inbox.H56.112": 1}, _ignore, lambda: None)
    with capture_logs():
        consumer.start()
        async with asyncio.timeout(5):
            await line.survived.wait()
    assert consumer._task is not None
    consumer._task.cancel()
    with pytest.raises(asyncio.CancelledError):  # This one was asked for.
        await consumer._task


_ASKED: dict[str, Callable[[Broker], Any]] = {
    "ping": Broker.ping,
    "publish": lambda broker: broker.publish("axis.deliver", "H56.112", b"<x/>", type="envelope"),
    "depth": lambda broker: broker.depth("inbox.H56.112"),
    "depths": lambda broker: broker.depths(["inbox.H56.112"]),
}


@pytest.mark.parametrize("name", _ASKED)
async def test_cancellation_that_nobody_asked_for_is_an_error_of_the_line(name: str) -> None:
    broker = Broker("amqp://axis@127.0.0.1/", "test")
    broker._publishing = broker._consuming = cast(Any, line := _Line(asyncio.CancelledError()))
    with pytest.raises(TransientError) as caught:
        await _ASKED[name](broker)
    assert caught.value.code == "SYS.BROKER"
    assert not line.errors


async def test_line_that_could_not_be_opened_is_nobodys_to_close() -> None:
    """The library would try to from whichever thread collects it, and complain on standard error."""
    gc.disable()
    logging.disable()  # What is kept of a record holds what it is about.
    try:
        async with Broker.connect("amqp://axis@127.0.0.1:1/", name="test") as broker:
            for _ in range(3):
                with pytest.raises(TransientError):
                    await broker.ping()
            await asyncio.to_thread(gc.collect)
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()


async def test_cancellation_that_was_asked_for_stays_one() -> None:
    broker = Broker("amqp://axis@127.0.0.1/", "test")
    broker._publishing = cast(Any, line := _Line())
    asking = asyncio.create_task(broker.ping())
    await line.survived.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def _came(number: int) -> Any:
    """Return a message as far as a reader of batches looks at it."""
    properties = SimpleNamespace(content_encoding=None)
    return SimpleNamespace(body=b"%d" % number, header=SimpleNamespace(properties=properties))


async def test_what_comes_soon_after_others_waits_for_those_behind_it() -> None:
    arrivals = _Arrivals("queue", cast("Any", None))

    async def come() -> None:
        for number in range(4):
            await arrivals.put(0, _came(number))
            await asyncio.sleep(0.01)

    coming = asyncio.create_task(come())
    first = await arrivals.next(10)
    rest = await arrivals.next(10, not_before=time.perf_counter() + 0.2)
    await coming
    assert [one.body for one in (*first, *rest)] == [b"0", b"1", b"2", b"3"]
    assert len(first) == 1


async def test_full_batch_waits_for_nothing() -> None:
    arrivals = _Arrivals("queue", cast("Any", None))
    for number in range(3):
        await arrivals.put(0, _came(number))
    async with asyncio.timeout(5):
        taken = await arrivals.next(2, not_before=time.perf_counter() + 60)
        arrivals.end()
        last = await arrivals.next(2, not_before=time.perf_counter() + 60)
    assert [one.body for one in (*taken, *last)] == [b"0", b"1", b"2"]
    assert await arrivals.next(2) == []
