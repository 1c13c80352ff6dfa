"""Sending: what the way to the axis has held up goes on as soon as it is open again."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from axis.broker import Packed, carried
from axis.errors import PermanentError, TransientError
from axis.office import outbound
from axis.office.outbound import Outbound
from axis.office.pipes import Gateway, Pipes
from axis.office.state import FileRow, State
from tests.unit.office import disk

AT = datetime(2026, 9, 1, tzinfo=UTC)
FILE = FileRow(sha256=sha256(b"abc").hexdigest(), size_bytes=3, content=b"abc")
_SOON_S = 30.0
LARGE = replace(FILE, content=None, folder="one")


@dataclass(slots=True)
class _World:
    """A broker and a gateway that say no as long as they are told to."""

    broker: str | None = None
    gateway: str | None = None
    refusal: str | None = None  # The gateway's last word.
    bug: Exception | None = None
    published: list[bytes] = field(default_factory=list)
    along: list[set[str]] = field(default_factory=list)  # The files that each brought.
    uploaded: list[str] = field(default_factory=list)

    async def publish(self, _exchange: str, _key: str, body: bytes | Packed, **_: Any) -> None:
        if self.bug is not None:
            raise self.bug
        if self.broker is not None:
            raise TransientError(self.broker)
        envelope, files = carried.unload(body.body, body.files) if isinstance(body, Packed) else (body, {})
        self.published.append(envelope)
        self.along.append(set(files))

    async def upload(self, _source: Any, sha256: str, _size_bytes: int) -> None:
        if self.gateway is not None:
            raise TransientError(self.gateway)
        if self.refusal is not None:
            raise PermanentError(self.refusal, "ví dụ")
        self.uploaded.append(sha256)


@dataclass(slots=True)
class _Office:
    world: _World
    state: State
    out: Outbound
    now: datetime = AT

    async def keep(self, name: str, *files: FileRow) -> None:
        sealed = name.encode()
        await self.state.submit(name, sealed=sealed, sealed_digest=name, digest=None, document_id=name, urgent=False, files=files, at=self.now)  # fmt: skip

    def place(self, file: FileRow) -> Path:
        """Return where the copy of a large file lies; its folder is there now."""
        path = self.out.folder / file.folder / file.sha256
        path.parent.mkdir(parents=True)
        return path

    async def stands(self, name: str) -> tuple[str, str | None]:
        found = await self.state.submission(name)
        assert found is not None
        return found.state, found.code

    async def look(self) -> list[bytes]:
        """Send what is due; return what got through."""
        before = len(self.world.published)
        async with asyncio.timeout(_SOON_S):
            while not await self._has_looked():
                pass
        return self.world.published[before:]

    async def _has_looked(self) -> bool:
        """Look once; False if that failed, in one transaction with what could not be written: then the counter looks again."""
        (why_not,) = await asyncio.gather(self.out.send_due(), return_exceptions=True)
        while self.out._sending:
            await asyncio.gather(*self.out._sending.values())
        assert why_not is None or isinstance(why_not, TransientError)
        return why_not is None


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Office]:
    monkeypatch.setattr(outbound, "_HASTEN_EVERY_S", 0.0)
    world = _World()
    async with State.open(tmp_path) as state:
        made = _Office(world, state, cast(Outbound, None))
        made.out = Outbound(
            office="H56.05",
            key=cast(Any, None),
            state=state,
            pipes=cast(Pipes, world),
            gateway=cast(Gateway, world),
            now=lambda: made.now,
            ring=lambda: None,
        )
        yield made


@pytest.mark.parametrize(
    ("room", "code"), [("broker", "SYS.BROKER"), ("gateway", "API.AUTH"), ("gateway", "SYS.LEDGER")]
)
async def test_what_the_way_held_up_goes_when_something_gets_through(office: _Office, room: str, code: str) -> None:
    await office.keep("old", FILE)
    setattr(office.world, room, code)
    for wait in (2, 5, 15):
        assert await office.look() == []
        office.now += timedelta(seconds=wait)
    assert await office.look() == []  # Now it would wait for a minute.
    setattr(office.world, room, None)
    assert await office.look() == []
    await office.keep("new", FILE)
    assert await office.look() == [b"new"]
    assert await office.look() == [b"old"]


async def test_heartbeat_shows_that_the_broker_is_back(office: _Office) -> None:
    await office.keep("only")
    office.world.broker = "SYS.BROKER"
    for wait in (2, 5, 15):
        assert await office.look() == []
        office.now += timedelta(seconds=wait)
    assert await office.look() == []  # Now it would wait for a minute.
    office.world.broker = None
    assert await office.look() == []
    office.out.reached_broker()
    assert await office.look() == [b"only"]


async def test_what_a_full_disk_held_up_waits_on(office: _Office) -> None:
    await office.keep("large", FILE)
    office.world.gateway = "SYS.SPOOL"
    assert await office.look() == []
    office.world.gateway = None
    await office.keep("small")
    assert await office.look() == [b"small"]
    assert await office.look() == []
    office.now += timedelta(seconds=2)
    assert await office.look() == [b"large"]


async def test_trouble_on_the_way_makes_nobody_wait_longer_for_an_answer(office: _Office) -> None:
    await office.keep("one")
    office.world.broker = "SYS.BROKER"
    for wait in (2, 5, 15):
        assert await office.look() == []
        office.now += timedelta(seconds=wait)
    office.world.broker = None
    assert await office.look() == [b"one"]
    for wait in (30, 60, 120):  # The answer was lost each time.
        office.now += timedelta(seconds=wait - 1)
        assert await office.look() == []
        office.now += timedelta(seconds=1)
        assert await office.look() == [b"one"]


# --- what the state cannot take -------------------------------------------------------------


async def _looks(office: _Office, seconds: int) -> list[bytes]:
    """Look once a second; return what got through."""
    gone = []
    for _ in range(seconds):
        gone += await office.look()
        office.now += timedelta(seconds=1)
    return gone


async def test_full_disk_sends_nothing_sooner_again_than_a_state_would(
    office: _Office, logged: list[MutableMapping[str, Any]]
) -> None:
    names = [b"%d" % number for number in range(40)]
    for name in names:
        await office.keep(name.decode())
    async with disk.full(office.state):
        assert sorted(await _looks(office, 30)) == sorted(names)
        assert sorted(await _looks(office, 59)) == sorted(names)
    assert [one["event"] for one in logged].count("submission.not_noted") == 80
    assert await _looks(office, 1) == []
    assert await office.stands("0") == ("published", None)
    assert office.out._unwritten == {}
    assert sorted(await _looks(office, 60)) == sorted(names)


async def test_full_disk_tries_what_failed_with_the_usual_pauses(office: _Office) -> None:
    await office.keep("only")
    office.world.broker = "SYS.BROKER"
    async with disk.full(office.state):
        for wait in (2, 5, 15):
            assert await office.look() == []
            office.now += timedelta(seconds=wait)
        assert await office.look() == []
        office.world.broker = None
        office.now += timedelta(seconds=59)
        assert await office.look() == []
        office.now += timedelta(seconds=1)
        assert await office.look() == [b"only"]
    assert await office.look() == []
    assert await office.stands("only") == ("published", None)


async def test_full_disk_does_not_forget_what_can_never_be_sent(office: _Office) -> None:
    office.world.refusal = "ATT.SIZE"
    await office.keep("only", FILE)
    async with disk.full(office.state):
        assert await office.look() == []
        assert await office.stands("only") == ("waiting", None)
    assert await office.look() == []
    assert await office.stands("only") == ("failed", "ATT.SIZE")


async def test_only_so_many_outcomes_are_kept_in_mind(office: _Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_MOST_UNWRITTEN", 1)
    for number in range(100):
        await office.keep(str(number))
    async with disk.full(office.state):
        await _looks(office, 20)
        assert 0 < len(office.out._unwritten) < 1 + outbound._AT_ONCE + outbound._AHEAD
    await _looks(office, 5)
    assert len(set(office.world.published)) == 100


async def test_what_nobody_foresaw_is_told(office: _Office, logged: list[MutableMapping[str, Any]]) -> None:
    office.world.bug = ZeroDivisionError()
    await office.keep("only")
    await office.out.send_due()
    await asyncio.gather(*office.out._sending.values(), return_exceptions=True)
    assert [one["event"] for one in logged if one["log_level"] == "error"] == ["service.failed"]


# --- what is wrong with a file --------------------------------------------------------------


@pytest.mark.parametrize("left", [None, b"ab", b"abd"])
async def test_lost_copy_is_for_the_axis_to_speak_about(office: _Office, left: bytes | None) -> None:
    """It may have the file from before; and where it has accepted long ago, nothing is missing at all."""
    if left is not None:
        office.place(LARGE).write_bytes(left)
    office.world.refusal = "ATT.DIGEST"
    await office.keep("lost", LARGE)
    assert await office.look() == [b"lost"]
    assert await office.stands("lost") == ("published", None)


async def test_copy_that_cannot_be_read_just_now_is_waited_for(office: _Office) -> None:
    path = office.place(LARGE)
    path.symlink_to(path)
    await office.keep("only", LARGE)
    assert await office.look() == []
    assert await office.stands("only") == ("waiting", "SYS.STATE")
    path.unlink()
    path.write_bytes(b"abc")
    office.now += timedelta(seconds=2)
    assert await office.look() == [b"only"]


async def test_small_copies_that_are_lost_or_cannot_be_read_just_now(office: _Office) -> None:
    await office.keep("only", FILE)
    segment = office.state.folder / "small" / "1"
    aside = segment.rename(segment.with_name("aside"))
    segment.symlink_to(segment)
    assert await office.look() == []
    assert await office.stands("only") == ("waiting", "SYS.STATE")
    segment.unlink()
    office.now += timedelta(seconds=2)
    assert await office.look() == [b"only"]
    assert aside.exists()


@pytest.mark.parametrize("file", [FILE, LARGE])
async def test_file_that_was_harmed_at_the_gateway_is_brought_again(office: _Office, file: FileRow) -> None:
    office.place(LARGE).write_bytes(b"abc")
    office.world.refusal = "ATT.DIGEST"
    await office.keep("only", file)
    assert await office.look() == []
    assert await office.stands("only") == ("waiting", "ATT.DIGEST")
    office.world.refusal = None
    office.now += timedelta(seconds=2)
    assert await office.look() == [b"only"]


async def test_who_may_bring_nothing_hears_so_from_the_axis(office: _Office) -> None:
    """It is suspended: the gateway's word to a file is signed by nobody."""
    office.world.refusal = "MSG.NOT_ALLOWED"
    await office.keep("only", FILE)
    assert await office.look() == [b"only"]
    assert await office.stands("only") == ("published", None)


async def test_what_the_axis_is_not_asked_about_ends_with_its_reason(office: _Office) -> None:
    office.world.refusal = "ATT.SIZE"
    await office.keep("only", FILE)
    assert await office.look() == []
    assert await office.stands("only") == ("failed", "ATT.SIZE")


# --- files that go along --------------------------------------------------------------------


def _small(content: bytes) -> FileRow:
    return FileRow(sha256=sha256(content).hexdigest(), size_bytes=len(content), content=content)


async def test_small_files_go_along_with_their_envelope(office: _Office) -> None:
    office.out.told(carried.MOST_BYTES)
    one, two = _small(b"one"), _small(b"two")
    await office.keep("both", one, two)
    assert await office.look() == [b"both"]
    assert office.world.along == [{one.sha256, two.sha256}]
    assert office.world.uploaded == []
    assert await office.stands("both") == ("published", None)


async def test_what_the_axis_has_not_answered_is_brought_over_http(office: _Office) -> None:
    """The broker may have lost it, and the file with it: until it is answered it is here."""
    office.out.told(carried.MOST_BYTES)
    await office.keep("old", FILE)
    assert await office.look() == [b"old"]
    office.now += timedelta(seconds=30)
    assert await office.look() == [b"old"]
    assert office.world.uploaded == [FILE.sha256]
    assert office.world.along == [{FILE.sha256}, set()]


@pytest.mark.parametrize("said", [None, 0, "much", FILE.size_bytes - 1])
async def test_files_go_along_to_an_axis_that_says_it_takes_them(office: _Office, said: object) -> None:
    await office.keep("first", FILE)
    assert await office.look() == [b"first"]
    office.out.told(carried.MOST_BYTES)
    office.out.told(said)  # An older one is at work again.
    await office.keep("second", FILE)
    assert await office.look() == [b"second"]
    assert office.world.along == [set(), set()]
    assert office.world.uploaded == [FILE.sha256] * 2


async def test_all_files_go_along_or_none(office: _Office) -> None:
    office.out.told(carried.MOST_BYTES)
    office.place(LARGE).write_bytes(b"abc")
    await office.keep("mixed", LARGE, _small(b"new"))
    assert await office.look() == [b"mixed"]
    assert office.world.along == [set()]
    assert office.world.uploaded == [LARGE.sha256, _small(b"new").sha256]


async def test_broker_that_did_not_take_them_gets_none_for_a_while(office: _Office) -> None:
    office.out.told(carried.MOST_BYTES)
    office.world.broker = "SYS.BROKER"
    await office.keep("only", FILE)
    assert await office.look() == []
    assert office.world.uploaded == []
    assert not office.out.line.enter("other", 1)
    office.world.broker = None
    office.now += timedelta(seconds=2)
    assert await office.look() == [b"only"]
    assert office.world.along == [set()]
    assert office.world.uploaded == [FILE.sha256]


async def test_no_more_goes_along_than_the_line_has_shown_to_carry(
    office: _Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.out.told(carried.MOST_BYTES)
    monkeypatch.setattr(carried, "_SOON_S", 0.05)
    most = [_small(bytes([number]) * carried.MOST_BYTES) for number in range(3)]
    for number, file in enumerate(most):
        await office.keep(str(number), file)
    assert sorted(await office.look()) == [b"0", b"1", b"2"]
    assert sum(map(bool, office.world.along)) == 1
    assert len(office.world.uploaded) == 2
    (gone,) = (name for name, along in zip(office.world.published, office.world.along, strict=True) if along)
    office.out.line.answered(gone.decode())
    for number, file in enumerate(most):
        await office.keep(f"more {number}", file)
    await office.look()
    assert sum(map(bool, office.world.along)) == 3


async def test_state_that_fails_says_nothing_of_the_line(office: _Office) -> None:
    office.out.told(carried.MOST_BYTES)
    await office.keep("only", FILE)
    office.world.broker = "SYS.STATE"
    assert await office.look() == []
    assert office.out.line.enter("other", carried.MOST_BYTES)


async def test_file_whose_copy_is_lost_does_not_go_along(office: _Office) -> None:
    office.out.told(carried.MOST_BYTES)
    await office.keep("only", FILE)
    (office.state.folder / "small" / "1").unlink()
    assert await office.look() == [b"only"]
    assert office.world.along == [set()]
