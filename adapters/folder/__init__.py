"""Folder: an office that works with folders, for communes without a document system.

    drop/       what the office sends: a file NAME.edxml, or a folder with `letter.toml` and its files
    sending/    taken from drop/, on its way to the axis
    sent/       accepted; receipts of the axis and of addressees arrive beside each document
    rejected/   not accepted, with why.txt
    inbox/      what has come, one folder each; a clerk answers with register.txt or refuse.txt, an order with
                agree.txt or decline.txt
    withdrawn/  what was given up by order of its originator
    receipts/   receipts about documents that were not sent from here
    register.csv  the incoming register

A thing in drop/ is taken when nobody writes it any more, and taking it is a
rename: a crash at any line leaves it in exactly one of these places.

Spec: docs/adapters.md.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

from adapters.folder.incoming import Incoming
from adapters.folder.options import FolderOptions
from adapters.folder.outgoing import Outgoing
from adapters.folder.places import Places
from adapters.folder.turns import Reach
from axis import Delivered, Document, Notice, Office, Order, Registered, StatusReport

__all__ = ["attach"]


def attach(office: Office) -> None:
    """Let an office work with folders.

    Raises:
        PermanentError: CFG.INVALID; the options in [adapter] are wrong.
    """
    settings = office.settings
    options = FolderOptions.read(settings)
    places = Places.below(options.folder)
    reach = Reach(places.make)
    incoming = Incoming(office, places, options)
    outgoing = Outgoing(office, places, options)

    @office.on_document
    async def receive(doc: Document) -> Registered | Delivered:
        places.make()
        return await incoming.receive(doc)

    @office.on_order
    async def ask(order: Order) -> Delivered:
        places.make()
        return await incoming.ask(order)

    @office.on_status
    async def note(report: StatusReport) -> None:
        places.make()
        await outgoing.note_status(report)

    @office.on_receipt
    async def keep(notice: Notice) -> None:
        places.make()
        await outgoing.keep_receipt(notice)

    def in_places(look: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        @wraps(look)
        async def looking() -> None:
            if reach.holds():
                await look()

        return looking

    # Each by itself: what goes wrong with one, or takes long, is no matter to the others.
    for look in (
        incoming.look_for_answers,
        incoming.tidy,
        outgoing.take_drops,
        outgoing.submit_taken,
        outgoing.follow_submissions,
        outgoing.look_for_recalls,
    ):
        office.beside(in_places(look))
