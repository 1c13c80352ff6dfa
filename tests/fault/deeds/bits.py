"""Bits turn over on a disk while the axis is down. The audit names what each has spoiled, and nothing else."""

import contextlib
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.fault.deeds.ledger import down
from tests.fault.deeds.spool import files_of
from tests.fault.reckoning import Finding, findings_in
from tests.fault.trial import Trial

_SOME = 30  # Documents.
_CHUNK_BYTES = 40  # Of a signed message: somewhere in it are so many bytes that stand nowhere else in the ledger.


@dataclass(frozen=True, slots=True)
class _Harm:
    """A bit that can be turned over, and what the audit must find then."""

    turn: Callable[[], None]  # Done twice, nothing was done.
    named: tuple[Finding, ...]


async def turn_over(trial: Trial, draw: random.Random) -> None:
    """A bit of an envelope, of a receipt that others follow, of a delivery's state and of an attachment; then all is put right."""
    await trial.until_true(lambda: trial.books.accepted() >= _SOME)
    async with down(trial) as ledger:
        with contextlib.closing(sqlite3.connect(ledger)) as book:
            harms = [
                _envelope(book, ledger, draw),
                _receipt(book, ledger, draw),
                _state(book, ledger, draw),
                _file(book, files_of(trial), draw),
            ]
        for one in harms:
            trial.done["bits turned over"] += 1
            one.turn()
        found = findings_in(await trial.audit("--receipts", "--spool"))
        for one in harms:
            one.turn()
        assert found == {finding for one in harms for finding in one.named}
        assert findings_in(await trial.audit("--receipts", "--spool")) == set()


def _envelope(book: sqlite3.Connection, ledger: Path, draw: random.Random) -> _Harm:
    envelope_id, sealed = draw.choice(book.execute("SELECT id, sealed FROM envelopes").fetchall())
    finding = ("I9", envelope_id, "", "the envelope is not the bytes that were accepted")
    return _Harm(partial(_turn, ledger, _place_of(sealed, ledger, draw)), (finding,))


def _receipt(book: sqlite3.Connection, ledger: Path, draw: random.Random) -> _Harm:
    query = (
        "SELECT digest, envelope_id, coalesce(addressee, ''), level, issuer, xml FROM receipts"
        " WHERE digest IN (SELECT previous FROM receipts)"
    )
    digest, envelope_id, addressee, level, issuer, xml = draw.choice(book.execute(query).fetchall())
    text = f"receipt {digest[:12]}, {level} by {issuer}, is not the bytes that it was"
    return _Harm(partial(_turn, ledger, _place_of(xml, ledger, draw)), (("I9", envelope_id, addressee, text),))


def _state(book: sqlite3.Connection, ledger: Path, draw: random.Random) -> _Harm:
    """The word stands in many rows: one row is written anew, as if its last letter had gone wrong."""
    query = "SELECT id, envelope_id, addressee, state FROM deliveries WHERE state = 'delivered'"
    delivery_id, envelope_id, addressee, state = draw.choice(book.execute(query).fetchall())
    wrong = state[:-1] + chr(ord(state[-1]) ^ 1)
    finding = ("I6", envelope_id, addressee, f"stands as {wrong}, which is no state")

    def turn() -> None:
        with contextlib.closing(sqlite3.connect(ledger)) as book, book:
            either = "UPDATE deliveries SET state = CASE state WHEN ? THEN ? ELSE ? END WHERE id = ?"
            book.execute(either, (state, wrong, state, delivery_id))

    return _Harm(turn, (finding,))


def _file(book: sqlite3.Connection, files: list[Path], draw: random.Random) -> _Harm:
    """Every envelope that carries it is named."""
    (digest,) = draw.choice(book.execute("SELECT DISTINCT sha256 FROM envelope_attachments").fetchall())
    file = next(one for one in files if one.name == digest)
    content, place = bytearray(file.read_bytes()), draw.randrange(file.stat().st_size)
    content[place] ^= 1
    query = (
        "SELECT envelope_id, name, (SELECT count(*) FROM deliveries d WHERE d.envelope_id = a.envelope_id"
        " AND state IN ('queued', 'sent', 'deferred', 'dead')) FROM envelope_attachments a WHERE sha256 = ?"
    )
    named = []
    for envelope_id, name, waiting in book.execute(query, (digest,)):
        needed = f"{waiting} deliveries still need it" if waiting else "every delivery has ended"
        text = f"file {digest} “{name}” holds other bytes, {sha256(content).hexdigest()[:12]}; {needed}"
        named.append(("I8", envelope_id, "", text))
    return _Harm(partial(_turn, file, place), tuple(named))


def _place_of(message: bytes, ledger: Path, draw: random.Random) -> int:
    """Return where in a ledger there is a byte of a message that it keeps."""
    kept = ledger.read_bytes()
    starts = list(range(0, len(message) - _CHUNK_BYTES, _CHUNK_BYTES))
    draw.shuffle(starts)
    return next(kept.index(one) for one in (message[at : at + _CHUNK_BYTES] for at in starts) if kept.count(one) == 1)


def _turn(file: Path, place: int) -> None:
    """Turn over the last bit of a byte of a file."""
    with file.open("r+b") as content:
        content.seek(place)
        (byte,) = content.read(1)
        content.seek(place)
        content.write(bytes([byte ^ 1]))
