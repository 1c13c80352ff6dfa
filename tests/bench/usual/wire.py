"""Wire: the queues, and the broker with its confirms."""

import logging

import uvloop
from faststream import FastStream
from faststream.middlewares import AckPolicy
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

_PREFETCH = 100


def _queue(name: str) -> RabbitQueue:
    return RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True)


SUBMIT, RECEIPTS = _queue("usual.submit"), _queue("usual.receipts")


def inbox(office: str) -> RabbitQueue:
    """Return the queue of the envelopes for an office."""
    return _queue(f"usual.inbox.{office}")


def home(office: str) -> RabbitQueue:
    """Return the queue of the receipts for an office."""
    return _queue(f"usual.home.{office}")


def connect(url: str) -> RabbitBroker:
    """Return a broker whose publishes are confirmed, and whose messages are acked when their handler has ended well."""
    return RabbitBroker(
        url,
        default_channel=Channel(prefetch_count=_PREFETCH, publisher_confirms=True, on_return_raises=True),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        log_level=logging.DEBUG,  # No two lines for each message.
    )


def serve(app: FastStream) -> None:
    """Run an application as `faststream run` does: under uvloop."""
    uvloop.run(app.run())
