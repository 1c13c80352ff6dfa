"""Router: verifies, validates, stores and passes on; one commit and one round of confirms for each message."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from faststream import FastStream

from tests.bench.usual import documents, wire
from tests.bench.usual.documents import Envelope, Receipt, RefusedError
from tests.bench.usual.ledger import Ledger
from tests.bench.usual.told import ADDRESSEE, AXIS, ORIGINATOR, Told

told = Told.from_env()
spool = Path(told.spool)
directory = documents.Directory(Path(told.trust))
key = directory.key(AXIS)
ledger = Ledger(told.ledger_url)
broker = wire.connect(told.broker_url)
log = logging.getLogger("router")


@broker.subscriber(wire.SUBMIT)
async def take_document(sealed: bytes) -> None:
    """Take custody of an envelope, and pass it on."""
    try:
        envelope = documents.open_envelope(sealed, directory, validate=True)
        _check(envelope)
        accepted = documents.write_receipt("accepted", key, about=envelope, envelope_id=uuid4().hex)
        # What came before is passed on again: its publish may be what failed, and an addressee knows what it has.
        accepted = await ledger.accept(envelope, sealed, accepted) or await ledger.accepted_before(envelope)
    except RefusedError as error:
        log.warning("refused: %s", "; ".join(map(str, error.args)))
        return
    await asyncio.gather(
        _say(envelope.originator, accepted.xml), *(_deliver(sealed, accepted, to) for to in envelope.addressees)
    )


def _check(envelope: Envelope) -> None:
    """Refuse what cannot be delivered."""
    for addressee in envelope.addressees:
        directory.certificate(addressee)
    for digest, size_bytes in envelope.files:
        path = spool / digest
        if not path.exists() or path.stat().st_size != size_bytes:
            raise RefusedError(f"file {digest} is not here")


async def _say(office: str, xml: bytes) -> None:
    await broker.publish(xml, queue=wire.home(office), persist=True)


async def _deliver(sealed: bytes, accepted: Receipt, addressee: str) -> None:
    await broker.publish(
        sealed,
        queue=wire.inbox(addressee),
        persist=True,
        headers={"envelope-id": accepted.envelope_id, "previous": accepted.digest},
    )


@broker.subscriber(wire.RECEIPTS)
async def take_receipt(xml: bytes) -> None:
    """Record a receipt, and pass it on."""
    try:
        receipt = documents.open_receipt(xml, directory, validate=True)
        originator = await ledger.answer(receipt)
    except RefusedError as error:
        log.warning("refused: %s", "; ".join(map(str, error.args)))
        return
    await _say(originator, receipt.xml)


@asynccontextmanager
async def _open() -> AsyncIterator[None]:
    await ledger.open()
    yield
    await ledger.close()


app = FastStream(broker, lifespan=_open)


@app.after_startup
async def _declare() -> None:
    for queue in (wire.home(ORIGINATOR), wire.inbox(ADDRESSEE)):
        await broker.declare_queue(queue)
    told.place("router.ready").touch()


if __name__ == "__main__":
    wire.serve(app)
