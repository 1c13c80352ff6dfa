"""A file that is saved: whole or not at all, and over a thin line no byte of it twice."""

import asyncio
import fcntl
import random
import threading
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pytest

from axis.edxml import AttachmentRef
from axis.errors import TransientError
from axis.office import document
from axis.office.document import Attachment

_LARGE = 5 * 1024 * 1024
_PIECE = 100_000


class _Thin:
    """A gateway whose line ends after so many bytes of each request."""

    def __init__(self, content: bytes, cut_after: int | None = None) -> None:
        self.content, self.cut_after = content, cut_after
        self.asked_from: list[int] = []

    async def stream(self, _sha256: str, size_bytes: int, *, start: int = 0) -> AsyncIterator[bytes]:
        self.asked_from.append(start)
        end = size_bytes if self.cut_after is None else start + self.cut_after
        for at in range(start, min(end, size_bytes), _PIECE):
            yield self.content[at : min(at + _PIECE, end)]
        if end < size_bytes:
            raise TransientError("SYS.SPOOL")


def _file(size_bytes: int, cut_after: int | None = None) -> tuple[Attachment, _Thin]:
    content = random.Random(size_bytes).randbytes(size_bytes)
    thin = _Thin(content, cut_after)
    ref = AttachmentRef("a1", "a.pdf", "application/pdf", sha256(content).hexdigest(), size_bytes)
    return Attachment(ref, thin), thin  # type: ignore[arg-type]  # It only ever streams.


async def test_what_has_come_of_a_large_file_does_not_come_again(tmp_path: Path) -> None:
    file, thin = _file(_LARGE, cut_after=2_000_000)
    for _ in range(2):
        with pytest.raises(TransientError):
            await file.save(tmp_path / "a.pdf")
        assert not (tmp_path / "a.pdf").exists()
    await file.save(tmp_path / "a.pdf")
    assert thin.asked_from == [0, 2_000_000, 4_000_000]
    assert (tmp_path / "a.pdf").read_bytes() == thin.content
    assert [one.name for one in tmp_path.iterdir()] == ["a.pdf"]


async def test_of_a_little_file_nothing_is_left(tmp_path: Path) -> None:
    file, _ = _file(1_000_000, cut_after=500_000)
    with pytest.raises(TransientError):
        await file.save(tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", [b"something else", b"x" * _LARGE, b"x" * (_LARGE + 1)])
async def test_what_was_left_and_is_not_of_the_file_is_not_kept(tmp_path: Path, left: bytes) -> None:
    file, thin = _file(_LARGE)
    (tmp_path / f".{file.sha256[:32]}.part").write_bytes(left)
    if len(left) <= _LARGE:  # Longer than the file: that is seen at once.
        with pytest.raises(TransientError, match=r"ATT\.DIGEST"):
            await file.save(tmp_path / "a.pdf")
        assert not list(tmp_path.iterdir())
    await file.save(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == thin.content


async def test_two_may_save_the_same_file_in_one_folder(tmp_path: Path) -> None:
    file, thin = _file(_LARGE)
    await asyncio.gather(*(file.save(tmp_path / f"{number}.pdf") for number in range(3)))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["0.pdf", "1.pdf", "2.pdf"]
    assert all(one.read_bytes() == thin.content for one in tmp_path.iterdir())


async def test_nothing_is_left_where_nobody_would_find_it_again(tmp_path: Path) -> None:
    """While one is at what was left, another begins anew, and takes its beginning away with it."""
    file, _ = _file(_LARGE, cut_after=2_000_000)
    with (tmp_path / f".{file.sha256[:32]}.part").open("w+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TransientError):
            await file.save(tmp_path / "a.pdf")
        assert [one.name for one in tmp_path.iterdir()] == [f".{file.sha256[:32]}.part"]


async def test_save_that_is_ended_puts_nothing_else_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended while the disk takes its time, and the next one begins at once, and is cut."""
    file, thin = _file(_LARGE)
    begun, flush = threading.Event(), document.flush_to_disk

    def slowly(opened: BinaryIO) -> None:
        begun.set()
        time.sleep(0.3)
        flush(opened)

    monkeypatch.setattr(document, "flush_to_disk", slowly)
    saving = asyncio.create_task(file.save(tmp_path / "a.pdf"))
    await asyncio.to_thread(begun.wait)
    saving.cancel()
    await asyncio.wait([saving])
    assert saving.cancelled()
    thin.cut_after = 2_000_000
    with pytest.raises(TransientError):
        await file.save(tmp_path / "a.pdf")
    await asyncio.sleep(0.5)
    assert (tmp_path / "a.pdf").read_bytes() == thin.content


async def test_file_that_came_along_is_not_fetched(tmp_path: Path) -> None:
    far, thin = _file(1000)
    near = Attachment(far.ref, thin, thin.content)  # type: ignore[arg-type]
    assert await near.read() == thin.content
    assert (await near.save(tmp_path / "a.pdf")).read_bytes() == thin.content
    assert thin.asked_from == []


async def test_file_that_came_along_damaged_is_not_believed(tmp_path: Path) -> None:
    """The attempt is deferred, and the next one brings no files."""
    far, thin = _file(1000)
    for came in (thin.content[:-1], b"x" + thin.content[1:]):
        near = Attachment(far.ref, thin, came)  # type: ignore[arg-type]
        with pytest.raises(TransientError, match=r"ATT\.DIGEST"):
            await near.read()
        with pytest.raises(TransientError, match=r"ATT\.DIGEST"):
            await near.save(tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []
