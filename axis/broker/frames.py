"""Frames: what a publisher has written must not end the line of whoever reads it.

The properties of a message are its publisher's, and RabbitMQ passes them on as
they are. Where a text is no UTF-8, a time is none or a table is nested a
thousand times, pamqp raises and aiormq closes the connection. The broker hands
the message out again, and with it all that was in hand there, until the
delivery limit is used up: one office could stop the routers. So a message whose
properties cannot be read arrives without any. Its body is judged by whoever
takes it, and its publisher is known by the exchange.

Spec: AMQP 0-9-1 4.2.6.1 (content header).
"""

from pamqp.commands import Basic
from pamqp.header import ContentHeader

_SIZED_BYTES = 12  # Class, weight and size of the body; the properties follow.
_read = ContentHeader.unmarshal


def _read_what_can_be(header: ContentHeader, data: bytes) -> None:
    try:
        _read(header, data)
    except Exception:
        if len(data) < _SIZED_BYTES:
            raise
        header.properties = Basic.Properties()


def expect_any_properties() -> None:
    """Let the client library read every message that a broker may hand out; for all connections of this process."""
    ContentHeader.unmarshal = _read_what_can_be  # type: ignore[method-assign, assignment]
