"""Pipes: RabbitMQ, written to what 3.10 and 4.x have in common.

`topology` is the whole layout as one value, `pipes` publishes with confirms and
consumes with the ack last, `packing` makes large messages small, `carried` lets
small files travel with their envelope, `frames` reads what any publisher may have
written, `definitions` gives each office its own account, `private_node` runs a
broker of our own where none is given.

Spec: AMQP 0-9-1; docs/protocol/broker.md.
"""

from axis.broker.packing import Packed, pack
from axis.broker.pipes import Broker, Consumer, Incoming, NotPublished
from axis.broker.private_node import PrivateNode, require_descriptors

__all__ = ["Broker", "Consumer", "Incoming", "NotPublished", "Packed", "PrivateNode", "pack", "require_descriptors"]
