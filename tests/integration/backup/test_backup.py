"""A backup of an axis that runs, and an axis made from it, on each kind of ledger."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from axis import backup, clock
from axis.backup import Place
from axis.cli.main import root
from axis.errors import PermanentError, Refusal, TransientError
from axis.intake import Rejected
from axis.ledger import BEGINNING, Ledger, migrate
from axis.ledger import backup as ledgers
from axis.office.answers import Delivered, Registered
from axis.office.speech import Failed
from axis.seal import pki
from axis.spool import Spool
from tests.disks import unreadable
from tests.house import AXIS, COMMUNE, OTHER, SENDER, House, house
from tests.laboratory import axis
from tests.postgres import PrivatePostgres
from tests.province import AT

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def here(ledger_url: str, tmp_path: Path) -> Place:
    """Where the axis that is backed up keeps things; its trust folder holds every key."""
    pki.init(tmp_path / "trust", name="CA tỉnh (ví dụ)", now=AT)
    for code in (AXIS, COMMUNE):
        pki.issue(tmp_path / "trust", code, name="ví dụ", now=AT)
    (tmp_path / "trust" / "offices.toml").write_text("# ví dụ\n", encoding="utf-8")
    return _place(ledger_url, tmp_path)


@pytest.fixture
def there(ledger_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """A place for an axis, where there is none yet, with a ledger of the same kind."""
    folder = tmp_path / "there"
    if ledger_url.startswith("sqlite"):
        return _place(f"sqlite:///{folder / 'ledger.sqlite'}", folder)
    server: PrivatePostgres = request.getfixturevalue("postgres")
    return _place(server.new_database(), folder)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
async def home(here: Place, tmp_path: Path) -> AsyncIterator[House]:
    async with house(here.ledger_url, tmp_path) as opened:
        yield opened


def _place(url: str, folder: Path) -> Place:
    return Place(
        ledger_url=url,
        spool_url=f"file://{folder / 'spool'}",
        staging=folder / "staging",
        trust=folder / "trust",
        offices=folder / "trust" / "offices.toml",
    )


@contextmanager
def _unseen(_title: str, _total: int) -> Iterator[Callable[[int], None]]:
    yield lambda _come: None


async def _back_up(
    home: House, target: Path, place: Place, shown: backup.Shown = _unseen, *, verify: bool = False
) -> backup.Made:
    return await backup.make(target, place, now=home.at, shown=shown, verify=verify)


async def _restore(home: House, target: Path, place: Place) -> backup.Restored:
    return await backup.restore(target, place, now=home.at, shown=_unseen)


async def _accepted(home: House, content: bytes | None = None, *, to: tuple[str, ...] = (COMMUNE,)) -> str:
    """Let a document be accepted, with a file of its own."""
    content = content or os.urandom(5000)
    await home.bring(SENDER, content)
    return (await home.accept(home.seal(home.document(to=to), {"a.pdf": content}))).envelope_id


async def _book(ledger: Ledger) -> dict[str, Any]:
    """Return what a ledger holds, but for what waits in it."""
    envelopes = await ledger.envelopes()
    return {
        "envelopes": envelopes,
        "sealed": [await ledger.sealed(one.envelope_id) for one in envelopes],
        "files": [await ledger.attachments_of(one.envelope_id) for one in envelopes],
        "receipts": await ledger.receipts(),
        "rejections": await ledger.rejections(),
        "roll": await ledger.registry_rows(),
    }


async def _files(place: Place, ledger: Ledger) -> dict[str, bytes]:
    """Return every file that a ledger names, as the spool of a place has it."""
    found = {}
    async with Spool.open(place.spool_url, place.staging) as spool:
        for envelope in await ledger.envelopes():
            for row in await ledger.attachments_of(envelope.envelope_id):
                found[row.sha256] = b"".join([chunk async for chunk in spool.stream(row.sha256)])
    return found


async def _is_empty(place: Place) -> bool:
    try:
        await ledgers.require_none(place.ledger_url)
    except PermanentError:
        return False
    return True


# --- there and back --------------------------------------------------------------------------


async def test_restored_axis_holds_the_same_book_and_the_same_files(
    home: House, here: Place, there: Place, target: Path
) -> None:
    ids = [await _accepted(home, to=(COMMUNE, OTHER)) for _ in range(3)]
    await _accepted(home, os.urandom(2_500_000))  # More than one chunk.
    await home.bring(SENDER, b"brought, and not sent yet")
    await home.attempt()
    await home.say(Registered("417"), await home.row(ids[0]))
    await home.say(Failed("DLV.FAILED", "ví dụ"), await home.row(ids[1]))
    made = await _back_up(home, target, here)
    assert (made.manifest.documents, made.copied, made.manifest.missing) == (4, 5, ())
    assert made.manifest.deliveries == {"delivered": 1, "dead": 1, "sent": 5}
    home.pass_time(timedelta(minutes=1))
    done = await _restore(home, target, there)
    assert (done.gap, done.brought, done.manifest) == (timedelta(minutes=1), 5, made.manifest)
    assert done.resumed.audit.findings == ()
    async with Ledger.open(there.ledger_url) as book:
        assert await _book(book) == await _book(home.ledger)
        assert await _files(there, book) == await _files(here, home.ledger)
        assert (await book.audit(home.at)).findings == ()
        assert await book.may_read(SENDER, (await home.ledger.attachments_of(ids[0]))[0].sha256)


async def test_what_is_written_meanwhile_makes_no_backup_inconsistent(
    home: House, here: Place, there: Place, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "_PAGES", 1)  # So that writes come between the steps of a copy.
    for _ in range(5):
        await _accepted(home)
    backing = asyncio.create_task(_back_up(home, target, here))
    while not backing.done():
        await asyncio.gather(*(_accepted(home) for _ in range(3)))
        await home.attempt()
    made = await backing
    await _accepted(home)
    known = {one.envelope_id: one for one in await home.ledger.envelopes()}
    assert 5 <= made.manifest.documents < len(known)
    await _restore(home, target, there)
    async with Ledger.open(there.ledger_url) as book:
        restored = await book.envelopes()
        assert len(restored) == made.manifest.documents
        assert all(known[one.envelope_id] == one for one in restored)
        assert sum(map(len, (await _files(there, book)).values())) == 5000 * len(restored)
        assert (await book.audit(home.at)).findings == ()


@asynccontextmanager
async def _opened(home: House, place: Place) -> AsyncIterator[House]:
    """Open a restored axis with the keys of the one that was backed up."""
    async with Ledger.open(place.ledger_url) as book, Spool.open(place.spool_url, place.staging) as store:
        intake = replace(home.intake, ledger=book, spool=store)
        yield replace(home, ledger=book, spool=store, intake=intake, answers=replace(home.answers, ledger=book))


async def test_restored_axis_goes_on(home: House, here: Place, there: Place, target: Path) -> None:
    content = b"%PDF-1.7"
    await home.bring(SENDER, content)
    envelope = home.seal(home.document(), {"a.pdf": content})
    first = await home.accept(envelope)
    await home.attempt()
    await _back_up(home, target, here)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        assert (await again.accept(envelope)).receipt_xml == first.receipt_xml
        fresh = await _accepted(again)  # Numbers go on where they were.
        assert {one.envelope_id for one in await again.attempt()} == {first.envelope_id, fresh}
        await again.say(Registered("417"), await again.row(first.envelope_id))
        assert (await again.row(first.envelope_id)).state == "delivered"
        assert (await again.ledger.audit(home.at)).findings == ()


# --- what lies in between ------------------------------------------------------------------------


async def test_what_was_accepted_after_the_backup_is_unknown_until_it_is_sent_again(
    home: House, here: Place, there: Place, target: Path
) -> None:
    await _accepted(home)
    await _back_up(home, target, here)
    content = b"%PDF-1.7"
    await home.bring(SENDER, content)
    envelope = home.seal(home.document(), {"a.pdf": content})
    late = (await home.accept(envelope)).envelope_id
    await home.attempt()
    said = await home.say(Delivered(), await home.row(late))
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        with pytest.raises(Refusal) as caught:
            await again.answers.take(said[0].xml, submitter=COMMUNE, now=home.at)
        assert caught.value.code == "RCT.UNKNOWN"
        with pytest.raises(Rejected) as missing:
            await again.accept(envelope)
        assert missing.value.code == "ATT.MISSING"
        await again.bring(SENDER, content)
        assert not (await again.accept(envelope)).duplicate
        assert len(await again.attempt()) == 2


async def test_deliveries_without_an_answer_are_attempted_again(
    home: House, here: Place, there: Place, target: Path
) -> None:
    sent, queued = await _accepted(home), await _accepted(home, to=(OTHER,))
    await home.ledger.begin_attempts(home.at, DAY, 1)
    states = {(await home.row(sent)).state, (await home.row(queued, OTHER)).state}
    assert states == {"sent", "queued"}
    await _back_up(home, target, here)
    home.pass_time(timedelta(hours=3))
    done = await _restore(home, target, there)
    assert (done.resumed.put_back, done.resumed.overdue, done.resumed.prolonged) == (1, 1, 2)
    async with Ledger.open(there.ledger_url) as book:
        attempts = await book.begin_attempts(home.at, DAY, 100)
        assert {(one.envelope_id, one.attempt_no) for one in attempts} == {(sent, 2), (queued, 1)}


# --- readers of the feed, and what they remember ---------------------------------------------------


async def _read_on(ledger: Ledger, cursor: str, now: datetime, *, most: int = 500) -> tuple[list[str], str]:
    """Let the originator read the feed behind a cursor: the cursors of the events, and the one to go on from."""
    found = await ledger.events_for(SENDER, await ledger.feed_place(cursor, now), most, now=now)
    return [row["cursor"] for row in found.rows], found.cursor


async def _go_on(home: House, again: House, documents: int) -> None:
    """Let documents be accepted by a restored axis, an hour later; the clock is that of the house."""
    home.pass_time(timedelta(hours=1))
    for _ in range(documents):
        await _accepted(again)


async def test_reader_goes_on_where_it_was_in_what_the_backup_has(
    home: House, here: Place, there: Place, target: Path
) -> None:
    for _ in range(4):
        await _accepted(home)
    whole, _ = await _read_on(home.ledger, "", home.at)
    read, cursor = await _read_on(home.ledger, "", home.at, most=2)
    await _back_up(home, target, here)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        assert (await _read_on(again.ledger, cursor, home.at))[0] == whole[2:]
        await _go_on(home, again, 2)
        rest, _ = await _read_on(again.ledger, cursor, home.at)
        assert (rest[:2], len(rest)) == (whole[2:], 4)
        assert (await _read_on(again.ledger, rest[-1], home.at))[0] == []
        await _back_up(home, target.with_name("second"), there)
    assert read == whole[:2]


async def test_reader_that_is_ahead_of_the_backup_passes_by_nothing(
    home: House, here: Place, there: Place, target: Path
) -> None:
    """Numbers come again in the new life: a place that is known by them alone is one among what its reader has not read."""
    await _accepted(home)
    await _back_up(home, target, here)
    home.pass_time(timedelta(hours=1))
    for _ in range(3):
        await _accepted(home)
    _, cursor = await _read_on(home.ledger, "", home.at)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        await _go_on(home, again, 6)
        found, _ = await _read_on(again.ledger, cursor, home.at)
        assert len(found) == 7
        assert found == (await _read_on(again.ledger, "", home.at))[0]
        assert (await _read_on(again.ledger, found[-1], home.at))[0] == []


async def test_reader_that_was_away_for_months_passes_by_nothing(
    home: House, here: Place, there: Place, target: Path
) -> None:
    """Its cursor is honoured however old: what is new to it begins with what it read last, not thirty days ago."""
    await _accepted(home)
    await _back_up(home, target, here)
    home.pass_time(timedelta(hours=1))
    for _ in range(3):
        await _accepted(home)
    _, cursor = await _read_on(home.ledger, "", home.at)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        await _go_on(home, again, 2)
        home.pass_time(40 * DAY)
        await _accepted(again)
        assert len((await _read_on(again.ledger, cursor, home.at))[0]) == 4
        assert len((await _read_on(again.ledger, "", home.at))[0]) == 1


async def test_cursor_of_an_earlier_version_is_good_until_a_restore(
    home: House, here: Place, there: Place, target: Path
) -> None:
    """It names a transaction, which in another cluster may not come for years."""
    for _ in range(3):
        await _accepted(home)
    found = await home.ledger.events_for(SENDER, BEGINNING, 500, now=home.at)
    old = "{tx}-{seq}".format_map(found.rows[1])
    assert (await _read_on(home.ledger, old, home.at))[0] == [found.rows[2]["cursor"]]
    await _back_up(home, target, here)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        await _go_on(home, again, 3)
        whole, _ = await _read_on(again.ledger, "", home.at)
        last = found.rows[-1]["seq"]
        for remembered in (old, f"0-{last}", f"{5_000_000}-{last}", f"0-{last + 2}"):
            assert (await _read_on(again.ledger, remembered, home.at))[0] == whole
    assert len(whole) == 6


async def test_book_that_was_restored_twice_keeps_its_order(
    home: House, here: Place, there: Place, target: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await _accepted(home)
    await _back_up(home, target, here)
    await _restore(home, target, there)
    folder = tmp_path / "third"
    is_sqlite = here.ledger_url.startswith("sqlite")
    server = None if is_sqlite else request.getfixturevalue("postgres")
    third = _place(server.new_database() if server else f"sqlite:///{folder / 'ledger.sqlite'}", folder)
    async with _opened(home, there) as again:
        await _go_on(home, again, 2)
        read, cursor = await _read_on(again.ledger, "", home.at, most=2)
        whole, _ = await _read_on(again.ledger, "", home.at)
        await _back_up(home, target, there)
        await _restore(home, target, third)
        async with _opened(again, third) as last:
            await _go_on(home, last, 1)
            assert (await _read_on(last.ledger, "", home.at))[0][:3] == whole
            rest, _ = await _read_on(last.ledger, cursor, home.at)
    assert (read, rest[0], len(rest)) == (whole[:2], whole[2], 2)


async def test_webhook_is_told_what_it_had_not_taken_at_the_backup(
    home: House, here: Place, there: Place, target: Path
) -> None:
    await _accepted(home)
    url = "https://qlvb.example.vn/"
    await home.ledger.put_webhook(SENDER, "qlvb", url=url, kinds=[], secret="x", now=home.at, most=9)
    for _ in range(2):
        await _accepted(home)
    await _back_up(home, target, here)
    await _restore(home, target, there)
    async with _opened(home, there) as again:
        await _go_on(home, again, 1)
        hook = await again.ledger.webhook(SENDER, "qlvb")
        assert hook is not None
        whole, _ = await _read_on(again.ledger, "", home.at)
        found = await again.ledger.events_for(SENDER, hook.place, 500, now=home.at)
        assert ([row["cursor"] for row in found.rows], hook.cursor) == (whole[1:], whole[0])


async def test_passwords_are_good_as_they_were_and_are_counted(
    home: House, here: Place, there: Place, target: Path
) -> None:
    await home.ledger.add_password(OTHER, "0" * 64, home.at, home.at)
    await _back_up(home, target, here)
    assert await home.ledger.end_passwords(OTHER, home.at) == 1
    done = await _restore(home, target, there)
    assert done.resumed.passwords == 1


async def test_time_without_an_axis_costs_no_delivery_its_life(
    home: House, here: Place, there: Place, target: Path
) -> None:
    waits, dead, ended = [await _accepted(home) for _ in range(3)]
    await home.attempt()
    await home.say(Failed("DLV.FAILED", "ví dụ"), await home.row(dead))
    await home.say(Delivered(), await home.row(ended))
    until = {one: (await home.row(one)).expires_at for one in (waits, dead, ended)}
    await _back_up(home, target, here)
    home.pass_time(30 * DAY)  # Lives are five days long.
    done = await _restore(home, target, there)
    assert done.resumed.audit.findings == ()
    async with Ledger.open(there.ledger_url) as book:
        found = {row.envelope_id: row.expires_at for row in await book.deliveries_in()}
        assert found == {waits: until[waits] + 30 * DAY, dead: until[dead] + 30 * DAY, ended: until[ended]}
        assert await book.expiring(home.at, 10) == []


async def test_restore_is_on_record(home: House, here: Place, there: Place, target: Path) -> None:
    await _accepted(home)
    made = await _back_up(home, target, here)
    await _restore(home, target, there)
    again = await _back_up(home, target.with_name("second"), there)
    assert again.manifest.last_event == made.manifest.last_event + 1
    assert again.manifest.model_copy(update={"last_event": 0, "ledger": None, "trust": None, "digest": ""}) == (
        made.manifest.model_copy(update={"last_event": 0, "ledger": None, "trust": None, "digest": ""})
    )


# --- into the same folder again --------------------------------------------------------------------


async def test_second_backup_copies_only_what_is_new(home: House, here: Place, there: Place, target: Path) -> None:
    await _accepted(home)
    first = await _back_up(home, target, here)
    await _accepted(home, b"new")
    second = await _back_up(home, target, here)
    assert (first.copied, second.copied, second.copied_bytes) == (1, 1, 3)
    assert len(second.manifest.files) == 2
    assert len(list(target.glob("copy-*"))) == 1
    await _restore(home, target, there)
    async with Ledger.open(there.ledger_url) as book:
        assert await _files(there, book) == await _files(here, home.ledger)


async def test_file_that_was_damaged_in_the_backup_is_copied_anew_when_it_is_verified(
    home: House, here: Place, there: Place, target: Path
) -> None:
    for _ in range(3):
        await _accepted(home)
    await _back_up(home, target, here)
    damaged = _attachment(target)
    _flip(damaged)
    assert (await _back_up(home, target, here)).copied == 0
    verified = await _back_up(home, target, here, verify=True)
    assert (verified.copied, verified.copied_bytes, verified.replaced) == (1, 5000, (damaged.name,))
    assert (await _restore(home, target, there)).damaged == ()
    again = await _back_up(home, target, here, verify=True)
    assert (again.copied, again.replaced, again.manifest.missing) == (0, (), ())


async def test_file_that_is_whole_neither_in_the_backup_nor_in_the_spool_is_missing_and_put_aside(
    home: House, here: Place, there: Place, target: Path
) -> None:
    for _ in range(2):
        await _accepted(home)
    await _back_up(home, target, here)
    damaged = _attachment(target)
    _flip(damaged)
    left = damaged.read_bytes()
    _flip(_in_spool(here, damaged.name))
    for verify in (True, False):  # The next one does not take it for a good one.
        made = await _back_up(home, target, here, verify=verify)
        assert (made.manifest.missing, made.replaced) == ((damaged.name,), ())
    assert not damaged.exists()
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == left
    assert (await _restore(home, target, there)).brought == 1


async def test_two_backups_at_once_do_not_share_a_folder(home: House, here: Place, target: Path) -> None:
    await _accepted(home)
    shown, begun, go_on = _halting()
    first = asyncio.create_task(_back_up(home, target, here, shown))
    await begun.wait()
    with pytest.raises(PermanentError, match="another backup"):
        await _back_up(home, target, here)
    go_on.set()
    with pytest.raises(_PowerCutError):
        await first


# --- what is no backup -------------------------------------------------------------------------------


class _PowerCutError(Exception):
    """Ends a backup in its middle."""


def _halting() -> tuple[backup.Shown, asyncio.Event, asyncio.Event]:
    """Return a bar that breaks off the copying of attachments at its end."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @contextmanager
    def shown(title: str, _total: int) -> Iterator[Callable[[int], None]]:
        begun.set()
        yield lambda _come: None
        if "attachments" in title:
            raise _PowerCutError

    return shown, begun, go_on


async def test_backup_that_was_broken_off_is_refused(home: House, here: Place, there: Place, target: Path) -> None:
    await _accepted(home)
    with pytest.raises(_PowerCutError):
        await _back_up(home, target, here, _halting()[0])
    assert [file.name for file in target.iterdir() if file.name not in ("files", ".lock")] == []
    with pytest.raises(PermanentError, match=r"has no manifest\.json") as caught:
        await _restore(home, target, there)
    assert caught.value.code == "CFG.INVALID"
    assert await _is_empty(there)


async def test_second_backup_that_was_broken_off_costs_nothing(
    home: House, here: Place, there: Place, target: Path
) -> None:
    await _accepted(home)
    first = await _back_up(home, target, here)
    await _accepted(home)
    with pytest.raises(_PowerCutError):
        await _back_up(home, target, here, _halting()[0])
    assert (await _restore(home, target, there)).manifest == first.manifest


def _leave_copies(target: Path) -> None:
    """Leave what backups leave that are killed, or end with the power."""
    for number in range(2):
        left = target / f"copy-20260825T02000{number}Z-killed"
        left.mkdir(parents=True)
        (left / "ledger.sqlite").write_bytes(b"half of one")


@pytest.mark.parametrize("backed_up", [False, True], ids=["no backup yet", "beside a backup"])
async def test_copies_of_backups_that_were_killed_are_gone_before_room_is_looked_for(
    home: House, here: Place, there: Place, target: Path, monkeypatch: pytest.MonkeyPatch, backed_up: bool
) -> None:
    if backed_up:
        await _accepted(home)
        await _back_up(home, target, here)
    good = list(target.glob("copy-*"))
    _leave_copies(target)

    def look(folder: Path, _size: int) -> None:
        assert sorted(target.glob("copy-*")) == sorted([*good, folder])
        raise PermanentError("CFG.INVALID", "make room")

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_require_room", look)
        with pytest.raises(PermanentError, match="make room"):
            await _back_up(home, target, here)
    assert list(target.glob("copy-*")) == good
    if backed_up:
        assert (await _restore(home, target, there)).manifest.documents == 1


@pytest.mark.parametrize(
    ("old", "new"), [('"format": 1', '"format": 2'), ('"path": "copy-2', '"path": "copy-3')], ids=["later", "damaged"]
)
async def test_copy_of_a_manifest_that_is_not_understood_stays_until_there_is_another_backup(
    home: House, here: Place, target: Path, old: str, new: str
) -> None:
    """A later version restores it, or a person who can tell what is wrong."""
    await _back_up(home, target, here)
    (earlier,) = target.glob("copy-*")
    _swap(target, old, new)
    with pytest.raises(_PowerCutError):
        await _back_up(home, target, here, _halting()[0])
    assert list(target.glob("copy-*")) == [earlier]
    await _back_up(home, target, here)
    assert not earlier.exists()
    assert len(list(target.glob("copy-*"))) == 1


def _attachment(target: Path) -> Path:
    return next(file for file in (target / "files").glob("*/*"))


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


_DAMAGES: dict[str, Callable[[Path], object]] = {
    "an attachment": lambda target: _flip(_attachment(target)),
    "an attachment cut short": lambda target: os.truncate(_attachment(target), 100),
    "an attachment gone": lambda target: _attachment(target).unlink(),
    "the ledger": lambda target: _flip(next(target.glob("copy-*/ledger.*"))),
    "the ledger gone": lambda target: next(target.glob("copy-*/ledger.*")).unlink(),
    "an authority": lambda target: _flip(next(target.glob("copy-*/trust/ca.pem"))),
    "a number in the manifest": lambda target: _swap(target, '"documents": 2', '"documents": 3'),
    "a path in the manifest": lambda target: _swap(target, "trust/ca.pem", "../../../ca.pem"),
    "half of the manifest": lambda target: os.truncate(target / "manifest.json", 300),
    "the manifest gone": lambda target: (target / "manifest.json").unlink(),
}


def _swap(target: Path, old: str, new: str) -> None:
    text = (target / "manifest.json").read_text(encoding="utf-8")
    assert old in text
    (target / "manifest.json").write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("damage", _DAMAGES)
async def test_backup_that_was_altered_is_refused(
    home: House, here: Place, there: Place, target: Path, damage: str
) -> None:
    for _ in range(2):
        await _accepted(home)
    await _back_up(home, target, here)
    _DAMAGES[damage](target)
    with pytest.raises(PermanentError) as caught:
        await _restore(home, target, there)
    assert caught.value.code == "CFG.INVALID"
    assert await _is_empty(there)


async def test_backup_of_a_later_version_is_refused(home: House, here: Place, there: Place, target: Path) -> None:
    made = await _back_up(home, target, here)
    later = made.manifest.model_copy(update={"ledger_revision": "9999", "package": "9.9"}).sealed()
    (target / "manifest.json").write_text(later.model_dump_json(), encoding="utf-8")
    with pytest.raises(PermanentError, match=r"install axis 9\.9"):
        await _restore(home, target, there)


# --- where there is an axis already --------------------------------------------------------------------


async def test_ledger_that_is_there_is_never_restored_over(home: House, here: Place, target: Path) -> None:
    await _accepted(home)
    await _back_up(home, target, here)
    before = await _book(home.ledger)
    with pytest.raises(PermanentError, match=r"holds a ledger already|is not empty") as caught:
        await _restore(home, target, here)
    assert caught.value.code == "CFG.INVALID"
    assert await _book(home.ledger) == before


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
async def test_log_of_an_earlier_sqlite_ledger_is_not_taken_over(
    home: House, here: Place, there: Place, target: Path
) -> None:
    await _back_up(home, target, here)
    stale = Path(f"{there.ledger_url.removeprefix('sqlite:///')}-wal")
    stale.parent.mkdir()
    stale.touch()
    with pytest.raises(PermanentError, match=r"ledger\.sqlite-wal"):
        await _restore(home, target, there)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
async def test_restore_that_was_broken_off_is_no_ledger_and_is_done_again(
    home: House, here: Place, there: Place, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _accepted(home)
    await _back_up(home, target, here)
    folder = Path(there.ledger_url.removeprefix("sqlite:///")).parent
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", _fail)
        with pytest.raises(TransientError):
            await _restore(home, target, there)
    assert await _is_empty(there)
    (folder / ".ledger.sqlite.restoring").write_bytes(b"left by a power cut")
    await _restore(home, target, there)
    assert [file.name for file in folder.iterdir() if "ledger" in file.name] == ["ledger.sqlite"]


def _fail(*_: object) -> None:
    raise OSError("no links here")


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_ledger_whose_restore_was_broken_off_is_opened_by_nobody(
    home: House,
    here: Place,
    there: Place,
    target: Path,
    tmp_path: Path,
    postgres: PrivatePostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All rows are there, and what waits in them was not set going: it would expire, or be silent."""
    await _accepted(home)
    await home.attempt()
    await _back_up(home, target, here)
    with monkeypatch.context() as patch:
        _stand_in(tmp_path, patch, 'PATH=${PATH#*:} pg_restore "$@"; kill -9 $PPID', program="pg_restore")
        process = await asyncio.create_subprocess_exec(
            *axis("restore", str(target), "--data", str(there.trust.parent)),
            env=os.environ | {"AXIS_LEDGER_URL": there.ledger_url},
        )
        assert await process.wait() == -signal.SIGKILL
    assert postgres.run(there.ledger_url, "SELECT state FROM deliveries").split()[2] == "sent"
    for words in (["up"], ["router"], ["gateway"], ["audit"], ["backup", str(target)], ["restore", str(target)]):
        assert "is under way, or was broken off" in await _command(there, *words, code=2)
    assert (await _restore(home, target, replace(there, ledger_url=postgres.new_database()))).resumed.put_back == 1


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_database_in_which_nothing_came_to_be_takes_the_next_restore(
    home: House, here: Place, there: Place, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _accepted(home)
    await _back_up(home, target, here)
    with monkeypatch.context() as patch:
        _stand_in(tmp_path, patch, "echo 'pg_restore: error: no memory' >&2; exit 1", program="pg_restore")
        with pytest.raises(PermanentError, match="no memory"):
            await _restore(home, target, there)
    with pytest.raises(PermanentError, match="broken off"):
        await migrate(there.ledger_url)  # By an axis that is started there meanwhile.
    await _restore(home, target, there)
    async with Ledger.open(there.ledger_url) as book:
        assert await _book(book) == await _book(home.ledger)
    await migrate(there.ledger_url)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
async def test_ledger_of_the_other_kind_is_refused(
    home: House, here: Place, there: Place, target: Path, postgres: PrivatePostgres
) -> None:
    await _back_up(home, target, here)
    url = postgres.new_database()
    with pytest.raises(PermanentError, match="backup of a sqlite ledger"):
        await _restore(home, target, replace(there, ledger_url=url))


async def test_trust_that_is_there_is_left_as_it_is(home: House, here: Place, there: Place, target: Path) -> None:
    await _back_up(home, target, here)
    there.trust.mkdir(parents=True)
    (there.trust / "crl.pem").write_bytes(b"a later one")
    done = await _restore(home, target, there)
    assert done.trust_kept == ("crl.pem",)
    assert done.trust_placed == ("ca.pem", "offices.toml", f"certs/{COMMUNE}.pem", f"certs/{AXIS}.pem")
    assert (there.trust / "crl.pem").read_bytes() == b"a later one"
    for name in done.trust_placed:
        assert (there.trust / name).read_bytes() == (here.trust / name).read_bytes()


@contextmanager
def _files_end_at(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
async def test_file_of_the_trust_for_which_there_was_no_room_comes_with_the_next_restore(
    home: House, here: Place, there: Place, target: Path
) -> None:
    revoked = (here.trust / "crl.pem").read_bytes() * 4
    (here.trust / "crl.pem").write_bytes(revoked)
    await _back_up(home, target, here)
    with _files_end_at(len(revoked) - 8), pytest.raises(PermanentError, match="File too large"):
        await _restore(home, target, there)
    assert [file.name for file in there.trust.iterdir()] == ["ca.pem"]
    done = await _restore(home, target, there)
    assert done.trust_kept == ("ca.pem",)
    assert (there.trust / "crl.pem").read_bytes() == revoked


# --- where a spool has survived -----------------------------------------------------------------------


def _in_spool(place: Place, digest: str) -> Path:
    return Path(place.spool_url.removeprefix("file://")) / "sha256" / digest[:2] / digest


@pytest.mark.parametrize("harm", [_flip, lambda file: os.truncate(file, 100)], ids=["altered", "truncated"])
async def test_file_that_is_damaged_in_a_spool_that_survived_is_replaced_and_told(
    home: House, here: Place, there: Place, target: Path, harm: Callable[[Path], object]
) -> None:
    damaged, _ = await _accepted(home), await _accepted(home)
    (row,) = await home.ledger.attachments_of(damaged)
    whole = await _files(here, home.ledger)
    await _back_up(home, target, here)
    harm(_in_spool(here, row.sha256))
    done = await _restore(home, target, replace(there, spool_url=here.spool_url, staging=here.staging))
    assert (done.brought, done.replaced) == (0, (row.sha256,))
    assert await _files(here, home.ledger) == whole


async def test_file_that_cannot_be_read_in_a_spool_that_survived_is_replaced(
    home: House, here: Place, there: Place, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk does that is damaged where it lies."""
    (row,) = await home.ledger.attachments_of(await _accepted(home))
    await _back_up(home, target, here)

    async def unreadable(*_: object, **__: object) -> AsyncIterator[bytes]:
        yield b""
        raise TransientError("SYS.SPOOL")

    monkeypatch.setattr(Spool, "stream", unreadable)
    done = await _restore(home, target, replace(there, spool_url=here.spool_url, staging=here.staging))
    assert (done.brought, done.replaced) == (0, (row.sha256,))


@pytest.mark.parametrize(
    "harm", [_flip, lambda file: os.truncate(file, 100), Path.unlink], ids=["altered", "truncated", "gone"]
)
async def test_file_that_is_damaged_in_the_backup_only_is_told_and_refuses_nothing(
    home: House, here: Place, there: Place, target: Path, harm: Callable[[Path], object]
) -> None:
    for _ in range(2):
        await _accepted(home)
    await _back_up(home, target, here)
    whole = await _files(here, home.ledger)
    damaged = _attachment(target)
    harm(damaged)
    done = await _restore(home, target, replace(there, spool_url=here.spool_url, staging=here.staging))
    assert (done.brought, done.replaced, done.damaged) == (0, (), (damaged.name,))
    assert await _files(here, home.ledger) == whole


async def test_file_that_is_nowhere_is_told_before_any_other_is_brought(
    home: House, here: Place, there: Place, target: Path
) -> None:
    for _ in range(3):
        await _accepted(home)
    await _back_up(home, target, here)
    last = max((target / "files").glob("*/*"))
    last.unlink()
    with pytest.raises(PermanentError, match=last.name):
        await _restore(home, target, there)
    assert list(Path(there.spool_url.removeprefix("file://")).iterdir()) == []


async def test_file_that_is_whole_nowhere_keeps_an_axis_from_being_restored(
    home: House, here: Place, there: Place, target: Path
) -> None:
    (row,) = await home.ledger.attachments_of(await _accepted(home))
    await _back_up(home, target, here)
    _flip(_in_spool(here, row.sha256))
    _flip(_attachment(target))
    with pytest.raises(PermanentError, match=row.sha256):
        await _restore(home, target, replace(there, spool_url=here.spool_url, staging=here.staging))
    assert await _is_empty(there)


# --- what is in it and what is not -----------------------------------------------------------------------


async def test_no_private_key_is_in_a_backup(home: House, here: Place, target: Path) -> None:
    keys = [here.trust / "ca.key.pem", *(here.trust / "keys").iterdir()]
    assert len(keys) == 3
    mixed = here.trust / "certs" / f"{OTHER}.pem"
    mixed.write_bytes(keys[1].read_bytes())  # A key beside its certificate, as some servers want it.
    made = await _back_up(home, target, here)
    assert made.left_out == (f"certs/{OTHER}.pem",)
    found = {file.name: file.read_bytes() for file in target.rglob("*") if file.is_file()}
    assert {"ca.pem", "crl.pem", "offices.toml", f"{AXIS}.pem", "manifest.json"} <= set(found)
    assert [name for name, content in found.items() if b"PRIVATE KEY" in content] == []


async def test_every_file_of_a_backup_is_in_its_manifest(home: House, here: Place, target: Path) -> None:
    await _accepted(home)
    manifest = (await _back_up(home, target, here)).manifest
    named = {part.path for part in (manifest.ledger, *manifest.trust)} | {
        f"files/{digest[:2]}/{digest}" for digest in manifest.files
    }
    found = {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()}
    assert found == named | {"manifest.json", ".lock"}
    assert backup.read(target) == manifest
    assert target.stat().st_mode & 0o077 == 0


async def test_backup_and_what_is_made_of_it_are_their_owners_alone(
    home: House, here: Place, there: Place, target: Path
) -> None:
    target.mkdir(mode=0o755)  # As the root of a disk is, where everybody may enter.
    await _accepted(home)
    before = os.umask(0)
    try:
        await _back_up(home, target, here)
        await _restore(home, target, there)
    finally:
        os.umask(before)
    data = there.trust.parent
    made = [*target.rglob("*"), data, *(one for one in data.iterdir() if one != there.trust)]
    assert [one for one in made if one.stat().st_mode & 0o077] == []


async def test_file_that_the_spool_has_lost_is_told_and_keeps_nothing_else_from_being_saved(
    home: House, here: Place, there: Place, target: Path
) -> None:
    lost, _ = await _accepted(home), await _accepted(home)
    (row,) = await home.ledger.attachments_of(lost)
    file = Path(here.spool_url.removeprefix("file://")) / "sha256" / row.sha256[:2] / row.sha256
    content = file.read_bytes()
    file.write_bytes(b"x" * len(content))  # The right size, and other bytes.
    made = await _back_up(home, target, here)
    assert (made.manifest.missing, made.copied) == ((row.sha256,), 1)
    done = await _restore(home, target, there)
    assert (done.brought, done.manifest.missing) == (1, (row.sha256,))
    file.write_bytes(content)
    assert (await _back_up(home, target, here)).manifest.missing == ()


async def test_file_that_cannot_be_read_is_told_and_keeps_nothing_else_from_being_saved(
    home: House, here: Place, there: Place, target: Path
) -> None:
    (row,) = await home.ledger.attachments_of(await _accepted(home))
    await _accepted(home)
    with unreadable(_in_spool(here, row.sha256)):
        made = await _back_up(home, target, here)
    assert (made.manifest.missing, made.copied) == ((row.sha256,), 1)
    done = await _restore(home, target, there)
    assert (done.brought, done.manifest.missing) == (1, (row.sha256,))
    assert (await _back_up(home, target, here)).manifest.missing == ()


async def test_spool_that_goes_away_meanwhile_is_transient_and_no_file_counts_as_lost(
    home: House, here: Place, target: Path
) -> None:
    for _ in range(2):
        await _accepted(home)
    root = Path(here.spool_url.removeprefix("file://"))

    @contextmanager
    def shown(title: str, _total: int) -> Iterator[Callable[[int], None]]:
        yield lambda _come: _replace_by_a_file(root) if "attachments" in title and root.is_dir() else None

    with pytest.raises(TransientError) as caught:
        await _back_up(home, target, here, shown)
    assert caught.value.code == "SYS.SPOOL"
    assert not (target / "manifest.json").exists()


def _replace_by_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()


# --- when it cannot be done ----------------------------------------------------------------------------


async def test_absent_ledger_is_told_and_not_made(there: Place, target: Path) -> None:
    with pytest.raises(PermanentError, match="there is no ledger"):
        await backup.make(target, there, now=AT, shown=_unseen)
    assert await _is_empty(there)
    assert list(target.glob("copy-*")) == []


async def test_database_that_is_away_is_transient(tmp_path: Path, target: Path) -> None:
    away = _place("postgresql://axis@127.0.0.1:1/axis", tmp_path)
    with pytest.raises(TransientError) as caught:
        await backup.make(target, away, now=AT, shown=_unseen)
    assert caught.value.code == "SYS.LEDGER"


async def test_folder_that_cannot_be_written_is_told_with_the_reason(home: House, here: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match="Not a directory"):
        await _back_up(home, tmp_path / "file" / "backup", here)


def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, *, program: str = "pg_dump") -> None:
    """Put a program of ours where one of PostgreSQL's is looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / program).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_password_is_not_on_the_command_line(
    home: House, here: Place, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    _stand_in(
        tmp_path,
        monkeypatch,
        f'printf "%s\\n" "$@" > {said}; echo "$PGPASSWORD" >> {said}.env; PATH=${{PATH#*:}} exec pg_dump "$@"',
    )
    secret = here.ledger_url.replace("axis@", "axis:geheim%40@")
    await _back_up(home, target, replace(here, ledger_url=secret))
    assert "--no-password" in said.read_text()
    assert "geheim" not in said.read_text()
    assert said.with_name("said.env").read_text() == "geheim@\n"


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_dump_holds_what_was_there_when_its_files_were_listed(
    home: House, here: Place, there: Place, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, go_on = tmp_path / "called", tmp_path / "go-on"
    for pipe in (called, go_on):
        os.mkfifo(pipe)
    _stand_in(tmp_path, monkeypatch, f'echo >{called}; cat {go_on}; PATH=${{PATH#*:}} exec pg_dump "$@"')
    known = await _accepted(home)
    backing = asyncio.create_task(_back_up(home, target, here))
    await asyncio.to_thread(called.read_text)
    await _accepted(home)
    await asyncio.to_thread(go_on.write_text, "")
    assert (await backing).manifest.documents == 1
    await _restore(home, target, there)
    async with Ledger.open(there.ledger_url) as book:
        assert [one.envelope_id for one in await book.envelopes()] == [known]


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
async def test_program_that_does_not_work_is_told_in_its_words(
    home: House, here: Place, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(tmp_path, monkeypatch, "echo 'pg_dump: error: server version mismatch' >&2; exit 1")
    with pytest.raises(PermanentError, match="server version mismatch"):
        await _back_up(home, target, here)
    assert list(target.iterdir()) == [target / ".lock"]


def test_place_of_a_database_reaches_its_programs() -> None:
    assert ledgers.libpq_environment("postgresql://axis:s%40c@db.example.vn:5433/axis?ssl=require") == {
        "PGHOST": "db.example.vn",
        "PGPORT": "5433",
        "PGUSER": "axis",
        "PGPASSWORD": "s@c",
        "PGSSLMODE": "require",
    }
    assert ledgers.libpq_environment("postgresql:///axis?host=/run/postgresql") == {"PGHOST": "/run/postgresql"}


# --- the commands -----------------------------------------------------------------------------------


async def _command(place: Place, *words: str, code: int = 0) -> str:
    env = {"AXIS_LEDGER_URL": place.ledger_url, "COLUMNS": "200"}
    arguments = [*words, "--data", str(place.trust.parent)]
    answer = await asyncio.to_thread(CliRunner().invoke, root(words[0]), arguments, env=env)
    assert answer.exit_code == code, answer.output
    assert code == 0 or not answer.stdout
    return answer.stdout or answer.stderr


async def test_commands_say_what_they_did_and_what_lies_in_between(
    home: House, here: Place, there: Place, target: Path
) -> None:
    home.at = clock.now()
    await _accepted(home)
    await home.attempt()
    said = await _command(here, "backup", str(target))
    assert "Backed up" in said
    assert "1 documents, 1 deliveries (1 sent)" in said
    assert "Private keys are not in it" in said
    again = json.loads(await _command(here, "backup", str(target), "--json"))
    assert (again["documents"], again["files"], again["copied"], again["missing"]) == (1, 1, 0, [])
    _flip(_attachment(target))
    assert f"copied anew: {_attachment(target).name}" in await _command(here, "backup", str(target), "--verify")
    done = json.loads(await _command(there, "restore", str(target), "--json"))
    assert (done["documents"], done["put_back"], done["brought"], done["audit"]["lost"]) == (1, 1, 1, 0)
    assert "ledger" in await _command(there, "restore", str(target), code=2)
    assert json.loads(await _command(there, "audit", "--json"))["lost"] == 0


async def test_restore_tells_a_person_what_to_do(home: House, here: Place, there: Place, target: Path) -> None:
    home.at = clock.now()
    await _accepted(home)
    await _command(here, "backup", str(target))
    said = await _command(there, "restore", str(target))
    for part in ("Restored", "RCT.UNKNOWN", "submits it again", "bring the keys of the axis", "1 attachments"):
        assert part in said
