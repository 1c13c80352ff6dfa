"""The spool on a local folder: a blob is there whole or not at all, and an upload goes on where it was cut."""

import asyncio
import errno
import fcntl
import os
import resource
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from obstore.store import LocalStore

from axis import private
from axis.errors import PermanentError, Refusal, TransientError
from axis.spool import Blob, Spool

CONTENT = bytes(range(256)) * 5000  # 1.28 MB: more than one chunk.
DIGEST = sha256(CONTENT).hexdigest()
OFFICE = "H56.05"
MIB = 1024 * 1024


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Spool]:
    async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging") as opened:
        yield opened


async def _pieces(content: bytes, size: int = 100_000, *, cut_after: int | None = None) -> AsyncIterator[bytes]:
    """Yield content in pieces; a line that is cut ends with an error, as a caller that goes away does."""
    for start in range(0, len(content), size):
        if cut_after is not None and start >= cut_after:
            raise ConnectionResetError
        yield content[start : start + size]


async def _read(store: Spool, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.stream(digest, start, end)])


async def test_staged_file_becomes_a_blob_under_its_digest(store: Spool, tmp_path: Path) -> None:
    staged = store.stage()
    staged.write(CONTENT)
    assert await store.exists(DIGEST) is None
    assert await store.commit(staged) == Blob(DIGEST, len(CONTENT))
    assert await store.exists(DIGEST) == len(CONTENT)
    assert await _read(store, DIGEST) == CONTENT
    assert list((tmp_path / "staging").iterdir()) == []


async def test_whoever_fills_a_spool_makes_its_folders_first(store: Spool, tmp_path: Path) -> None:
    root = tmp_path / "spool" / "sha256"
    assert not root.exists(), "who only looks makes nothing"
    root.mkdir()
    (root / DIGEST[:2]).mkdir()
    (root / "lost+found").touch()
    await asyncio.gather(store.lay_out(), store.lay_out())
    assert {one.name for one in root.iterdir()} == {f"{number:02x}" for number in range(256)} | {"lost+found"}


async def test_spool_without_room_for_folders_is_as_good_as_before(store: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool" / "sha256").touch()  # No folder can be made below it.
    await store.lay_out()
    (tmp_path / "spool" / "sha256").unlink()
    assert await store.put(DIGEST, CONTENT) == Blob(DIGEST, len(CONTENT))


async def test_folders_that_could_be_made_are_on_the_disk_though_others_could_not(
    store: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, make, sync = tmp_path / "spool" / "sha256", os.makedirs, private.sync_folder
    synced: dict[str, int] = {}

    def make_some(path: str, *, exist_ok: bool) -> None:
        if root.exists() and len(list(root.iterdir())) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        make(path, exist_ok=exist_ok)

    def note(folder: str) -> None:
        synced[folder] = len(os.listdir(folder))
        sync(folder)

    monkeypatch.setattr(os, "makedirs", make_some)
    monkeypatch.setattr(private, "sync_folder", note)
    await store.lay_out()
    assert synced == {str(root): 3, str(root.parent): 1}


async def test_folders_that_cannot_be_brought_to_the_disk_are_nothing_to_rely_on(
    store: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(private, "sync_folder", fail)
    with pytest.raises(TransientError) as told:
        await store.lay_out()
    assert told.value.code == "SYS.SPOOL"


async def test_folder_that_has_gone_is_made_by_its_next_file(store: Spool, tmp_path: Path) -> None:
    await store.lay_out()
    shutil.rmtree(tmp_path / "spool" / "sha256" / DIGEST[:2])
    await store.put(DIGEST, CONTENT)
    assert await _read(store, DIGEST) == CONTENT


async def test_discarded_file_leaves_nothing(store: Spool, tmp_path: Path) -> None:
    staged = store.stage()
    staged.write(CONTENT)
    staged.discard()
    assert list((tmp_path / "staging").iterdir()) == []
    assert await store.used_bytes() == 0


async def test_same_content_is_kept_once(store: Spool) -> None:
    for _ in range(3):
        staged = store.stage()
        staged.write(CONTENT)
        await store.commit(staged)
    assert await store.used_bytes() == len(CONTENT)


async def _as_one(store: Spool, content: bytes) -> None:
    await store.put(sha256(content).hexdigest(), content)


async def _in_pieces(store: Spool, content: bytes) -> None:
    digest = sha256(content).hexdigest()
    await store.append(OFFICE, digest, offset=0, total=len(content), chunks=_pieces(content))


async def _staged(store: Spool, content: bytes) -> None:
    staged = store.stage()
    staged.write(content)
    await store.commit(staged)


@pytest.mark.parametrize("damaged", [CONTENT[::-1], CONTENT[:1000], b""], ids=["altered", "truncated", "emptied"])
@pytest.mark.parametrize("bring", [_as_one, _in_pieces, _staged])
@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_blob_that_was_damaged_is_whole_when_it_has_come_again(
    tmp_path: Path, kind: str, bring: Callable[[Spool, bytes], Awaitable[None]], damaged: bytes
) -> None:
    (tmp_path / "staging").mkdir()
    root = tmp_path / "spool"
    # A bucket on a disk: obstore does there what it does with any other.
    store = Spool(LocalStore(root, mkdir=True), root if kind == "folder" else None, tmp_path / "staging", 0)
    await bring(store, CONTENT)
    (file,) = root.rglob(DIGEST)
    file.write_bytes(damaged)
    await bring(store, CONTENT)
    assert await _read(store, DIGEST) == CONTENT
    assert await store.used_bytes() == len(CONTENT)
    assert list((tmp_path / "staging").iterdir()) == []


async def test_ranges_are_read_exactly(store: Spool) -> None:
    staged = store.stage()
    staged.write(CONTENT)
    await store.commit(staged)
    size = len(CONTENT)
    for start, end in ((0, 1), (1_048_575, 1_048_577), (size - 1, size), (0, size), (5, 5), (size, size)):
        assert await _read(store, DIGEST, start, end) == CONTENT[start:end]
    assert await _read(store, DIGEST, size - 3, size + 100) == CONTENT[-3:]


async def test_upload_goes_on_where_it_was_cut(store: Spool) -> None:
    with pytest.raises(TransientError):
        await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT, cut_after=300_000))
    offset = await store.unfinished(OFFICE, DIGEST)
    assert offset == 300_000
    done = await store.append(OFFICE, DIGEST, offset=offset, total=len(CONTENT), chunks=_pieces(CONTENT[offset:]))
    assert done == Blob(DIGEST, len(CONTENT))
    assert await store.unfinished(OFFICE, DIGEST) is None
    assert await _read(store, DIGEST) == CONTENT


async def test_upload_survives_a_restart(tmp_path: Path) -> None:
    places = (f"file://{tmp_path / 'spool'}", tmp_path / "staging")
    async with Spool.open(*places) as first:
        assert await first.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT[:7])) == 7
    async with Spool.open(*places) as second:
        assert await second.unfinished(OFFICE, DIGEST) == 7


async def test_upload_that_nobody_looked_at_as_a_whole_is_finished_by_an_empty_piece(
    store: Spool, tmp_path: Path
) -> None:
    """The process may die between the last byte and the look."""
    await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT) + 1, chunks=_pieces(CONTENT))
    assert await store.unfinished(OFFICE, DIGEST) == len(CONTENT)
    assert await store.exists(DIGEST) is None
    done = await store.append(OFFICE, DIGEST, offset=len(CONTENT), total=len(CONTENT), chunks=_pieces(b""))
    assert done == Blob(DIGEST, len(CONTENT))


async def test_upload_at_another_offset_is_refused_with_the_right_one(store: Spool) -> None:
    await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT[:10]))
    for offset in (0, 9, 11):
        with pytest.raises(Refusal) as caught:
            await store.append(OFFICE, DIGEST, offset=offset, total=len(CONTENT), chunks=_pieces(CONTENT))
        assert caught.value.code == "API.OFFSET"
        assert "10" in caught.value.violations[0].en


async def test_upload_of_another_file_is_refused_and_begins_anew(store: Spool) -> None:
    other = bytes(len(CONTENT))
    with pytest.raises(Refusal) as caught:
        await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(other))
    assert caught.value.code == "ATT.DIGEST"
    assert await store.exists(DIGEST) is None
    assert await store.unfinished(OFFICE, DIGEST) is None
    assert await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT)) == Blob(
        DIGEST, len(CONTENT)
    )


async def test_upload_longer_than_announced_is_refused(store: Spool) -> None:
    with pytest.raises(Refusal) as caught:
        await store.append(OFFICE, DIGEST, offset=0, total=10, chunks=_pieces(CONTENT))
    assert caught.value.code == "ATT.SIZE"


async def test_upload_that_grew_beyond_its_file_begins_anew(store: Spool) -> None:
    await store.append(OFFICE, DIGEST, offset=0, total=2 * len(CONTENT), chunks=_pieces(CONTENT + b"x"))
    done = await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
    assert done == Blob(DIGEST, len(CONTENT))


async def test_uploads_of_two_offices_do_not_meet(store: Spool) -> None:
    await store.append("H56.VP", DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT[:100]))
    assert await store.unfinished(OFFICE, DIGEST) is None


async def test_only_one_writes_an_upload_at_a_time(store: Spool) -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:1000]
        going.set()
        await go_on.wait()
        yield CONTENT[1000:]

    first = asyncio.create_task(store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=slowly()))
    await going.wait()
    with pytest.raises(Refusal) as caught:
        await store.append(OFFICE, DIGEST, offset=1000, total=len(CONTENT), chunks=_pieces(CONTENT[1000:]))
    assert caught.value.code == "API.OFFSET"
    go_on.set()
    assert await first == Blob(DIGEST, len(CONTENT))


async def test_what_nobody_goes_on_with_is_removed_after_days(store: Spool, tmp_path: Path) -> None:
    old, fresh = sha256(b"old").hexdigest(), sha256(b"fresh").hexdigest()
    for digest in (old, fresh):
        await store.append(OFFICE, digest, offset=0, total=10, chunks=_pieces(b"1234"))
    left = store.stage()  # As a process leaves it that dies in the middle.
    now = datetime.now(UTC)
    for path in (tmp_path / "staging").iterdir():
        if fresh not in path.name:
            days_ago = (now - timedelta(days=8)).timestamp()
            os.utime(path, (days_ago, days_ago))
    assert await store.tidy(now) == 2
    assert await store.unfinished(OFFICE, old) is None
    assert await store.unfinished(OFFICE, fresh) == 4
    left.discard()


async def test_empty_file_is_a_file(store: Spool) -> None:
    nothing = sha256(b"").hexdigest()
    assert await store.append(OFFICE, nothing, offset=0, total=0, chunks=_pieces(b"")) == Blob(nothing, 0)
    assert await store.exists(nothing) == 0
    assert await _read(store, nothing) == b""


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_what_is_no_digest_names_nothing(store: Spool, digest: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await store.exists(digest)
    assert caught.value.code == "API.NOT_FOUND"


async def test_absent_blob_is_not_found(store: Spool) -> None:
    with pytest.raises(PermanentError) as caught:
        await _read(store, DIGEST)
    assert caught.value.code == "API.NOT_FOUND"


async def test_address_of_another_kind_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as caught:
        async with Spool.open("ftp://example.vn/spool", tmp_path / "staging"):
            pass
    assert caught.value.code == "CFG.INVALID"


async def test_bucket_that_cannot_be_reached_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "x"),
        ("AWS_MAX_RETRIES", "0"),
    ):
        monkeypatch.setenv(name, value)
    async with Spool.open("s3://axis-spool/province", tmp_path / "staging") as store:
        with pytest.raises(TransientError) as caught:
            async with asyncio.timeout(60):
                await store.ping()
    assert caught.value.code == "SYS.SPOOL"


# --- when the disk or the process gives out ----------------------------------------------


@contextmanager
def _small_disk(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: writing fails as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 300_000, 1_048_576, len(CONTENT) - 1])
async def test_upload_that_fills_the_disk_is_transient_and_goes_on_later(store: Spool, room: int) -> None:
    with _small_disk(room), pytest.raises(TransientError) as caught:
        await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
    assert caught.value.code == "SYS.SPOOL"
    offset = await store.unfinished(OFFICE, DIGEST)
    assert offset is not None
    assert offset <= room
    done = await store.append(OFFICE, DIGEST, offset=offset, total=len(CONTENT), chunks=_pieces(CONTENT[offset:]))
    assert done == Blob(DIGEST, len(CONTENT))


async def test_upload_that_is_given_up_at_any_moment_goes_on(store: Spool) -> None:
    """Whoever ends us while a piece is being written finds no other piece in its place."""
    for moment in range(36):
        content = CONTENT + moment.to_bytes()
        digest, reached = sha256(content).hexdigest(), asyncio.Event()

        async def all_at_once(
            content: bytes = content, last: int = moment // 2, reached: asyncio.Event = reached
        ) -> AsyncIterator[bytes]:
            for number, start in enumerate(range(0, len(content), 70_000)):
                if number == last:
                    reached.set()
                yield content[start : start + 70_000]
                await asyncio.sleep(0)

        given_up = asyncio.create_task(store.append(OFFICE, digest, offset=0, total=len(content), chunks=all_at_once()))
        await reached.wait()
        await asyncio.sleep(0.0001 * (moment % 2))
        given_up.cancel()
        await asyncio.wait([given_up])
        offset = await store.unfinished(OFFICE, digest)
        if await store.exists(digest) is None:
            rest = _pieces(content[offset:])
            assert await store.append(OFFICE, digest, offset=offset, total=len(content), chunks=rest) == Blob(
                digest, len(content)
            )
        assert await _read(store, digest) == content


async def test_small_file_is_put_under_its_digest_at_once(store: Spool, tmp_path: Path) -> None:
    small, digest = CONTENT[:5000], sha256(CONTENT[:5000]).hexdigest()
    for _ in range(2):
        assert await store.put(digest, small) == Blob(digest, 5000)
    assert await _read(store, digest) == small
    with pytest.raises(Refusal) as caught:
        await store.put("0" * 64, small)
    assert caught.value.code == "ATT.DIGEST"
    assert list((tmp_path / "staging").iterdir()) == []


async def test_small_files_that_come_together_get_each_its_own_answer(store: Spool, tmp_path: Path) -> None:
    small = {sha256(CONTENT[:size]).hexdigest(): CONTENT[:size] for size in range(1000, 1100)}
    bad = "0" * 64
    done = await asyncio.gather(
        *(store.put(digest, content) for digest, content in small.items()),
        store.put(bad, b"other"),
        return_exceptions=True,
    )

    *good, refusal = done
    assert good == [Blob(digest, len(content)) for digest, content in small.items()]
    assert isinstance(refusal, Refusal)
    assert refusal.code == "ATT.DIGEST"
    assert [await _read(store, digest) for digest in small] == list(small.values())
    assert await store.exists(bad) is None
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("room", [0, 10, 4999])
async def test_small_file_that_fills_the_disk_is_transient_and_leaves_nothing(
    store: Spool, tmp_path: Path, room: int
) -> None:
    digest = sha256(CONTENT[:5000]).hexdigest()
    with _small_disk(room), pytest.raises(TransientError) as caught:
        await store.put(digest, CONTENT[:5000])
    assert caught.value.code == "SYS.SPOOL"
    assert list((tmp_path / "staging").iterdir()) == []
    assert await store.used_bytes() == 0


@pytest.mark.parametrize("size", [1000, len(CONTENT)])
async def test_staged_file_that_fills_the_disk_is_transient_and_leaves_nothing(
    store: Spool, tmp_path: Path, size: int
) -> None:
    staged = store.stage()
    with _small_disk(10):
        with pytest.raises(TransientError) as caught:
            staged.write(CONTENT[:size])
            await store.commit(staged)
        assert caught.value.code == "SYS.SPOOL"
        staged.discard()
    assert list((tmp_path / "staging").iterdir()) == []
    assert await store.used_bytes() == 0


async def test_upload_of_a_process_that_was_killed_goes_on(tmp_path: Path) -> None:
    """It dies while it holds the file, with more in its memory than on the disk."""
    script = f"""
import asyncio
from pathlib import Path
from axis.spool import Spool
from tests.integration.spool.test_store import CONTENT, DIGEST, OFFICE

async def pieces():
    yield CONTENT[:900_000]
    yield CONTENT[900_000:1_200_000]
    yield CONTENT[1_200_000:1_250_000]
    (part,) = Path("{tmp_path}/staging").iterdir()
    while part.stat().st_size < 1_200_000:
        await asyncio.sleep(0.01)
    print("going", flush=True)
    await asyncio.sleep(60)

async def main():
    async with Spool.open("file://{tmp_path}/spool", Path("{tmp_path}/staging")) as store:
        await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=pieces())

asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"going\n"
    child.kill()
    await child.wait()
    async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging") as store:
        assert await store.exists(DIGEST) is None
        offset = await store.unfinished(OFFICE, DIGEST)
        assert offset == 1_200_000
        done = await store.append(OFFICE, DIGEST, offset=offset, total=len(CONTENT), chunks=_pieces(CONTENT[offset:]))
        assert done == Blob(DIGEST, len(CONTENT))


async def test_folder_that_is_none_is_transient(store: Spool, tmp_path: Path) -> None:
    """What is mounted there is gone, and something else stands in its place."""
    staged = store.stage()
    with closing(staged._file):
        staged.write(CONTENT)
        for name in ("spool", "staging"):
            (tmp_path / name).rename(tmp_path / f"{name} of before")
            (tmp_path / name).write_bytes(b"")
        for call in (
            lambda: store.ping(),
            lambda: store.commit(staged),
            lambda: store.unfinished(OFFICE, DIGEST),
            lambda: store.append(OFFICE, DIGEST, offset=0, total=1, chunks=_pieces(b"")),
        ):
            with pytest.raises(TransientError) as caught:
                await call()
            assert caught.value.code == "SYS.SPOOL"


async def test_blob_is_never_written_to_by_a_latecomer(store: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pieces of one upload come at once; the one finishes it between the other's opening of the file and its lock."""
    await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT[:10]))
    lock, loop = fcntl.flock, asyncio.get_running_loop()

    def finish_first(file: object, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        rest = store.append(OFFICE, DIGEST, offset=10, total=len(CONTENT), chunks=_pieces(CONTENT[10:]))
        assert asyncio.run_coroutine_threadsafe(rest, loop).result(20) == Blob(DIGEST, len(CONTENT))
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with pytest.raises(Refusal) as caught:
        await store.append(OFFICE, DIGEST, offset=0, total=5, chunks=_pieces(b"other"))
    assert caught.value.code in ("API.OFFSET", "ATT.DIGEST")
    assert await _read(store, DIGEST) == CONTENT


async def test_failure_of_those_who_use_the_spool_stays_what_it_is(tmp_path: Path) -> None:
    """A port that is taken is not a spool that cannot be written."""
    with pytest.raises(ConnectionRefusedError):
        async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging"):
            raise ConnectionRefusedError


async def test_file_that_the_disk_has_no_room_for_is_put_off(tmp_path: Path) -> None:
    """What must stay free is the ledger's and the broker's: the file may come when there is room."""
    free = shutil.disk_usage(tmp_path).free
    places = f"file://{tmp_path / 'spool'}", tmp_path / "staging"

    async def chunks() -> AsyncIterator[bytes]:
        yield b"%PDF"

    digest = sha256(b"%PDF").hexdigest()
    async with Spool.open(*places, keep_free=2 * free) as full:
        with pytest.raises(TransientError) as caught:
            full.stage()
        assert caught.value.code == "SYS.SPOOL"
        with pytest.raises(TransientError):
            await full.append("H56.05", digest, offset=0, total=4, chunks=chunks())
    async with Spool.open(*places, keep_free=free // 2) as roomy:
        with pytest.raises(TransientError):
            await roomy.append("H56.05", digest, offset=0, total=free, chunks=chunks())
        assert await roomy.append("H56.05", digest, offset=0, total=4, chunks=chunks()) == Blob(digest, 4)


async def test_upload_that_goes_on_needs_room_for_the_rest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = f"file://{tmp_path / 'spool'}", tmp_path / "staging"
    async with Spool.open(*places, keep_free=1_000_000) as store:
        at = await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT[:-1000]))
        assert at == len(CONTENT) - 1000
        disk = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=1_001_000))
        rest = _pieces(CONTENT[-1000:])
        assert await store.append(OFFICE, DIGEST, offset=at, total=len(CONTENT), chunks=rest) == Blob(
            DIGEST, len(CONTENT)
        )


def count_as_disk(folder: Path, size_bytes: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let a folder count as a disk of some size; return what says how much of it is free."""

    def free() -> int:
        return size_bytes - sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    disk = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=free()))
    return free


async def test_files_of_unknown_size_leave_free_what_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes inside an envelope says no size before it has come; several come at once."""
    free = count_as_disk(tmp_path, 40 * MIB, monkeypatch)
    async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging", keep_free=4 * MIB) as store:
        files = [store.stage(), store.stage()]
        with pytest.raises(TransientError) as caught:
            for number in range(100):
                files[number % 2].write(bytes(MIB))
        assert (caught.value.code, caught.value.detail) == ("SYS.SPOOL", "disk")
        assert sum(file.size_bytes for file in files) == 36 * MIB
        assert free() == 4 * MIB
        for file in files:
            file.discard()
        assert free() == 40 * MIB
        again = store.stage()
        again.write(CONTENT)
        assert await store.commit(again) == Blob(DIGEST, len(CONTENT))


async def test_upload_that_the_disk_has_no_room_for_any_more_is_cut_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger grows while it comes."""
    free, ledger = count_as_disk(tmp_path, 40 * MIB, monkeypatch), tmp_path / "ledger"
    content = CONTENT * 25
    digest = sha256(content).hexdigest()

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in _pieces(content):
            if not ledger.exists():
                ledger.write_bytes(bytes(20 * MIB))
            yield piece

    async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging", keep_free=4 * MIB) as store:
        with pytest.raises(TransientError) as caught:
            await store.append(OFFICE, digest, offset=0, total=len(content), chunks=pieces())
        assert (caught.value.code, caught.value.detail) == ("SYS.SPOOL", "disk")
        offset = await store.unfinished(OFFICE, digest)
        assert offset == 40 * MIB - 20 * MIB - free()
        assert 4 * MIB <= free() < 5 * MIB  # What has come stays, up to the piece that there is no room for.
        ledger.unlink()
        rest = _pieces(content[offset:])
        assert await store.append(OFFICE, digest, offset=offset, total=len(content), chunks=rest) == Blob(
            digest, len(content)
        )
        assert await _read(store, digest) == content


async def test_upload_is_begun_where_there_is_room_beside_those_that_are_coming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all of them begin, and none is ever whole."""
    count_as_disk(tmp_path, 3 * MIB, monkeypatch)
    begun, end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:300_000]
        begun.set()
        await end.wait()

    async with Spool.open(f"file://{tmp_path / 'spool'}", tmp_path / "staging", keep_free=MIB) as store:
        first = asyncio.create_task(store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=slowly()))
        await begun.wait()
        with pytest.raises(TransientError) as caught:
            await store.append("H56.VP", DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
        assert (caught.value.code, caught.value.detail) == ("SYS.SPOOL", "disk")
        with pytest.raises(Refusal) as refused:  # The same once more is told that it is coming already.
            await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
        assert refused.value.code == "API.OFFSET"
        end.set()
        assert await first == 300_000
        done = await store.append("H56.VP", DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
        assert done == Blob(DIGEST, len(CONTENT))


async def test_spool_on_another_disk_leaves_nothing_in_staging(
    store: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.parent.name == "staging":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    small, staged = CONTENT[:5000], store.stage()
    assert await store.put(sha256(small).hexdigest(), small) == Blob(sha256(small).hexdigest(), 5000)
    await store.append(OFFICE, DIGEST, offset=0, total=len(CONTENT), chunks=_pieces(CONTENT))
    staged.write(CONTENT[:6000])
    kept = await store.commit(staged)
    for digest, content in (
        (sha256(small).hexdigest(), small),
        (DIGEST, CONTENT),
        (kept.sha256, CONTENT[:6000]),
    ):
        assert await _read(store, digest) == content
    assert list((tmp_path / "staging").iterdir()) == []
