"""Segments: what waits in one is there as it was put, whatever is written and undone after it."""

import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from axis.errors import TransientError
from axis.office import segments
from axis.office.segments import Place, Segments
from axis.office.state import Due, FileRow, State

AT = datetime(2026, 9, 1, tzinfo=UTC)
LENGTH = 100


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", LENGTH)


class _Shelf:
    """Segments, and what waits in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[Place, bytes] = {}
        self.segments = Segments(folder, lambda: {place.segment for place in self.waiting})

    def put(self, *contents: bytes) -> list[Place]:
        """Put files in one go."""
        self.segments.turn_over()
        places = [self.segments.put(content) for content in contents]
        self.segments.sync()
        self.waiting.update(zip(places, contents, strict=True))
        return places

    def require_all_there(self) -> None:
        again = Segments(self.folder, tuple)
        assert {place: again.read(place, len(content)) for place, content in self.waiting.items()} == self.waiting


def test_files_lie_one_after_the_other(tmp_path: Path) -> None:
    shelf = _Shelf(tmp_path / "small")
    assert shelf.put(b"first", b"", b"second") == [Place(1, 0), Place(1, 5), Place(1, 5)]
    assert shelf.put(b"third") == [Place(1, 11)]
    shelf.require_all_there()


def test_one_that_is_full_is_followed_by_another_and_written_anew_when_nothing_waits_in_it(tmp_path: Path) -> None:
    shelf = _Shelf(tmp_path / "small")
    (first,) = shelf.put(b"a" * LENGTH)
    (second,) = shelf.put(b"b" * LENGTH)
    assert (first, second) == (Place(1, 0), Place(2, 0))
    del shelf.waiting[first]
    assert shelf.put(b"c" * 60, b"d" * 60) == [Place(1, 0), Place(1, 60)]
    shelf.require_all_there()
    assert shelf.put(b"e") == [Place(3, 0)]
    shelf.require_all_there()


def test_who_opens_them_again_writes_over_nothing_that_waits(tmp_path: Path) -> None:
    shelf = _Shelf(tmp_path / "small")
    shelf.put(b"first")
    waiting = dict(shelf.waiting)
    shelf.segments.close()
    shelf = _Shelf(tmp_path / "small")
    shelf.waiting = waiting
    assert shelf.put(b"second") == [Place(2, 0)]
    shelf.require_all_there()


def test_few_are_kept_with_nothing_in_them(tmp_path: Path) -> None:
    shelf = _Shelf(tmp_path / "small")
    for _ in range(10):
        shelf.put(b"a" * LENGTH)
    assert len(os.listdir(tmp_path / "small")) == 10
    shelf.waiting.clear()
    shelf.put(b"b")
    assert len(os.listdir(tmp_path / "small")) == 3
    shelf.require_all_there()


def test_what_could_not_be_synced_is_followed_by_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = _Shelf(tmp_path / "small")
    shelf.put(b"first")
    monkeypatch.setattr(os, "fdatasync", _disk_is_full)
    with pytest.raises(OSError, match="full"):
        shelf.put(b"second")
    monkeypatch.undo()
    assert shelf.put(b"third") == [Place(2, 0)]
    shelf.require_all_there()


@pytest.mark.parametrize("left", [None, 3])
def test_what_is_not_there_whole_cannot_be_read(left: int | None, tmp_path: Path) -> None:
    shelf = _Shelf(tmp_path / "small")
    (place,) = shelf.put(b"first")
    if left is None:
        (tmp_path / "small" / "1").unlink()
    else:
        os.truncate(tmp_path / "small" / "1", left)
    with pytest.raises(OSError, match=r"data|directory"):
        shelf.segments.read(place, 5)


# --- as a state uses them ---------------------------------------------------------------------


async def _submit(state: State, name: str, *contents: bytes) -> None:
    files = [FileRow(sha256=sha256(one).hexdigest(), size_bytes=len(one), content=one) for one in contents]
    await state.submit(name, sealed=name.encode(), sealed_digest=name, digest=None, document_id=name, urgent=False, files=files, at=AT)  # fmt: skip


async def _due(state: State) -> dict[str, list[bytes | None]]:
    return _contents(await state.due(AT, 100))


def _contents(due: Sequence[Due]) -> dict[str, list[bytes | None]]:
    return {one.id: [file.content for file in one.files] for one in due}


async def test_files_that_wait_are_there_after_a_restart(tmp_path: Path) -> None:
    async with State.open(tmp_path) as state:
        await _submit(state, "one", b"first", b"second")
        await _submit(state, "two", b"third")
        await state.tried("one", published=False, next_at=AT, uploaded=[sha256(b"first").hexdigest()])
    async with State.open(tmp_path) as state:
        await _submit(state, "three", b"fourth")
        assert await _due(state) == {"one": [b"second"], "two": [b"third"], "three": [b"fourth"]}


async def test_commit_that_fails_leaves_files_that_wait_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one had been brought in the same transaction, its place is not free: it waits again."""
    old, new = b"o" * LENGTH, b"n" * LENGTH
    async with State.open(tmp_path) as state:
        await _submit(state, "old", old)

        def brought_and_put(db: sqlite3.Connection) -> None:
            db.execute("UPDATE files SET uploaded_at = 'now'")
            state._place(FileRow(sha256="", size_bytes=LENGTH, content=new))
            raise TransientError("SYS.STATE")

        with pytest.raises(TransientError):
            await state._commit(brought_and_put)
        assert await _due(state) == {"old": [old]}
        await _submit(state, "new", new)
        assert await _due(state) == {"old": [old], "new": [new]}
        monkeypatch.setattr(os, "fdatasync", _disk_is_full)
        with pytest.raises(TransientError, match=r"SYS\.STATE"):
            await _submit(state, "unkept", b"unkept")
        monkeypatch.undo()
        assert await _due(state) == {"old": [old], "new": [new]}


async def test_place_of_what_has_been_brought_is_used_again(tmp_path: Path) -> None:
    async with State.open(tmp_path) as state:
        for number in range(50):
            content = b"%d" % number * LENGTH
            await _submit(state, str(number), content)
            if number:  # The first one waits all the time.
                await state.tried(str(number), published=True, next_at=AT, uploaded=[sha256(content).hexdigest()])
        assert len(os.listdir(tmp_path / "small")) <= 4
        assert (await _due(state))["0"] == [b"0" * LENGTH]


async def test_segment_that_is_missing_holds_up_what_was_in_it_alone(tmp_path: Path) -> None:
    async with State.open(tmp_path) as state:
        await _submit(state, "lost", b"l" * LENGTH)
        await _submit(state, "there", b"there")
        (tmp_path / "small" / "1").unlink()
        lost, there = await state.due(AT, 10)
        assert not Path(str(lost.files[0].source(tmp_path))).exists()
        assert there.files[0].content == b"there"


async def test_number_of_a_segment_that_is_missing_is_not_given_again(tmp_path: Path) -> None:
    """A state that was copied without them: what comes must not be sent in the place of what is gone."""
    async with State.open(tmp_path) as state:
        await _submit(state, "gone", b"gone")
    (tmp_path / "small" / "1").unlink()
    async with State.open(tmp_path) as state:
        await _submit(state, "next", b"next")
        assert await _due(state) == {"gone": [None], "next": [b"next"]}
    (tmp_path / "small" / "1").write_bytes(b"GONE")
    async with State.open(tmp_path) as state:
        assert await _due(state) == {"gone": [None], "next": [b"next"]}  # It is not what it was.


async def test_file_that_an_earlier_version_kept_in_its_table_is_sent(tmp_path: Path) -> None:
    async with State.open(tmp_path) as state:
        await _submit(state, "old", b"old")
    db = sqlite3.connect(tmp_path / "state.sqlite")
    db.executescript(
        "UPDATE files SET content = CAST('old' AS BLOB); ALTER TABLE files DROP COLUMN segment;"
        " ALTER TABLE files DROP COLUMN start; ALTER TABLE envelopes DROP COLUMN uncertain;"
        " ALTER TABLE submissions DROP COLUMN anew; PRAGMA user_version = 4;"
    )
    db.close()
    async with State.open(tmp_path) as state:
        await _submit(state, "new", b"new")
        assert await _due(state) == {"old": [b"old"], "new": [b"new"]}
        await state.tried("old", published=True, next_at=AT, uploaded=[sha256(b"old").hexdigest()])
        assert (await _due(state))["old"] == []


def _disk_is_full(_descriptor: int) -> None:
    raise OSError(28, "the disk is full")
