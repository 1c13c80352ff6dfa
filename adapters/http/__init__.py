"""HTTP: an office whose document system speaks HTTP, for departments and districts.

What comes is announced to the system by a signed webhook, and its answer is the
receipt. What the system sends, it posts to the adapter's own interface, where
it also fetches files and answers later. A webhook that the system does not take
is sent again, so nothing is lost while the system is down.

Spec: docs/adapters.md; the Standard Webhooks specification.
"""

from typing import Any

from adapters.http.interface import Interface
from adapters.http.options import HttpOptions
from adapters.http.store import Store
from adapters.http.system import System
from axis import (
    Agreed,
    Declined,
    Delivered,
    Document,
    Notice,
    Office,
    Order,
    Refused,
    Registered,
    StatusReport,
    TransientError,
    Unavailable,
)

__all__ = ["attach"]


def attach(office: Office) -> None:
    """Let an office work with a document system over HTTP.

    Raises:
        PermanentError: CFG.INVALID; the options in [adapter] are wrong, or a secret cannot be read.
    """
    options = HttpOptions.read(office.settings)
    store = Store(office.settings.state / "documents", options.keep_days)
    system = System(options)
    interface = Interface(office, options, store)

    @office.on_document
    async def receive(doc: Document) -> Registered | Refused | Delivered:
        return await system.announce(doc.envelope_id, await _kept(store, doc))

    @office.on_order
    async def pass_on_order(order: Order) -> Agreed | Declined | Delivered:
        if order.document is not None:
            await _kept(store, order.document)  # The system reads it before it answers.
        return await system.announce_order(order)

    @office.on_status
    async def pass_on_status(report: StatusReport) -> None:
        await system.tell_status(report)

    @office.on_receipt
    async def pass_on_receipt(notice: Notice) -> None:
        await system.tell_receipt(notice)

    office.beside(interface.serve)
    office.beside(store.tidy)


async def _kept(store: Store, doc: Document) -> dict[str, Any]:
    """Keep a document for the system and return the facts about it.

    Raises:
        Unavailable: It cannot be kept now, and the system has heard nothing of it.
    """
    try:
        return await store.keep(doc)
    except (TransientError, OSError) as error:
        raise Unavailable("chưa nhận đủ tệp của văn bản / its files could not be kept yet") from error
