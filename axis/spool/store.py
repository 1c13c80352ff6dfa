"""Store: a local folder or an S3 bucket, written whole and read in ranges.

Locally a finished file is synced and renamed, which costs nothing however
large it is; obstore's own local writer copies and does not sync. The bucket
goes through obstore.

What comes again, and has been checked, takes the place of what stands there:
that may have been damaged meanwhile, and to find out would be to read it.

Limits: the staging folder is on this machine, so that an upload that was cut
can be resumed only where it began.
"""

import asyncio
import contextlib
import errno
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from axis import private
from axis.batches import Batches
from axis.cancelling import to_its_end
from axis.errors import AxisError, PermanentError, Refusal, TransientError, refuse
from axis.spool.room import Room

T = TypeVar("T")

_CHUNK_BYTES = 1024 * 1024
# Of what comes: a change of threads for each piece of the network would cost more than writing it.
_PIECE_BYTES = 256 * 1024
_PREFIX = "sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")
ABANDONED = timedelta(days=7)
# Small files that get their places together. Each waits twice for the disk: where that is slow, threads wait side by side.
_AT_ONCE, _IN_A_THREAD = 64, 8
_PART_BYTES = 16 * 1024 * 1024  # Of a multipart upload to a bucket.


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in the spool."""

    sha256: str
    size_bytes: int


class Staged:
    """A file that is growing; it hashes what it is given. Use from one thread at a time."""

    def __init__(self, path: Path, room: Room) -> None:
        self.path = path
        self._room = room
        self._file: IO[bytes] = path.open("x+b")
        self._hash = sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Append bytes.

        Raises:
            TransientError: SYS.SPOOL
        """
        self._room.take(len(data))
        try:
            self._file.write(data)
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error
        self._hash.update(data)
        self.size_bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Digest of what has been written so far."""
        return self._hash.hexdigest()

    def reader(self) -> IO[bytes]:
        """Return the file at its beginning, to be read; it stays ours."""
        self._file.flush()
        self._file.seek(0)
        return self._file

    def sync(self) -> None:
        """Put the bytes on the disk.

        Raises:
            TransientError: SYS.SPOOL
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error

    def discard(self) -> None:
        """Close it; it is gone unless it was committed."""
        with contextlib.suppress(OSError):  # What it still holds in memory is not wanted any more.
            self._file.close()
        self.path.unlink(missing_ok=True)


class Spool:
    """The store; made by `open`."""

    def __init__(self, store: LocalStore | S3Store, root: Path | None, staging: Path, keep_free: int) -> None:
        self._store = store
        self._root = root  # Of a local store; None for a bucket.
        self._staging = staging
        self._room = Room(staging, keep_free)
        self._growing: set[_Part] = set()  # Uploads that are being written now.
        self._putting: Batches[_Small, None] = Batches(_put_all, most=_AT_ONCE)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, staging: Path, *, keep_free: int = 0) -> AsyncIterator["Spool"]:
        """Open a spool.

        Args:
            url: `file:///DIR` or `s3://BUCKET/PREFIX`; a bucket's account comes from the usual AWS_* variables.
            staging: Folder for what is still growing.
            keep_free: Bytes of its disk that no file may use.

        Raises:
            PermanentError: CFG.INVALID
            TransientError: SYS.SPOOL
        """
        parts = urlsplit(url)
        if parts.scheme not in ("file", "s3"):
            raise PermanentError("CFG.INVALID", "spool_url must be file:///DIR or s3://BUCKET/PREFIX")
        root = Path(parts.path) if parts.scheme == "file" else None
        try:
            for folder in (staging, *([root] if root else ())):
                private.make_folder(folder)
            store = LocalStore(root) if root else S3Store(parts.netloc, prefix=parts.path.strip("/") or None)
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error
        yield cls(store, root, staging, keep_free)

    async def lay_out(self) -> None:
        """Make the folders that files stand in: for whoever fills the spool, not for whoever looks into it.

        The first file in a folder makes it, if it must; that waits for the disk once more, and for the first hundreds of
        documents it would be nearly every one. So what cannot be made now, on a full disk, is nobody's failure.

        Raises:
            TransientError: SYS.SPOOL; what is there cannot be brought to the disk.
        """
        if self._root is not None:
            await asyncio.to_thread(_lay_out, f"{self._root}/{_PREFIX}")

    async def ping(self) -> None:
        """Raise TransientError if the store cannot be asked."""
        await self.exists("0" * 64)

    def stage(self) -> Staged:
        """Return a new empty file that may become a blob.

        Raises:
            TransientError: SYS.SPOOL
        """
        self._room.require(0)
        try:
            return Staged(self._staging / f"new-{secrets.token_hex(12)}", self._room)
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error

    async def commit(self, staged: Staged) -> Blob:
        """Give a staged file its place in the spool; what stands there is replaced.

        Raises:
            TransientError: SYS.SPOOL
        """
        await asyncio.to_thread(staged.sync)
        blob = Blob(staged.sha256, staged.size_bytes)
        await self._adopt(staged.path, blob)
        staged.discard()
        return blob

    async def put(self, digest: str, content: bytes) -> Blob:
        """Give a small file that is here as a whole its place in the spool, as `commit` does; several share a change of threads.

        Raises:
            Refusal: ATT.DIGEST
            TransientError: SYS.SPOOL
        """
        _require_digest(digest)
        self._room.require(len(content))
        blob = Blob(digest, len(content))
        if self._root is not None:
            beside = f"{self._staging}/new-{secrets.token_hex(12)}"
            await self._putting.add(_Small(content, digest, beside, f"{self._root}/{_key(digest)}"))
            return blob
        found = await asyncio.to_thread(lambda: sha256(content).hexdigest())
        _require_same(found, digest)
        await _told(lambda: obstore.put_async(self._store, _key(digest), content))
        return blob

    async def _adopt(self, path: Path, blob: Blob) -> None:
        if self._root is not None:
            await asyncio.to_thread(_give_place, os.fspath(path), f"{self._root}/{_key(blob.sha256)}")
            return
        await _told(lambda: obstore.put_async(self._store, _key(blob.sha256), path, chunk_size=_PART_BYTES))

    # --- uploads that may be cut and resumed -------------------------------------

    async def append(
        self, owner: str, digest: str, *, offset: int | None, total: int, chunks: AsyncIterator[bytes]
    ) -> Blob | int:
        """Append to an upload.

        Args:
            owner: Whose upload.
            digest: What the whole file must have.
            offset: Where the bytes belong; None: at the beginning, whatever came before.
            total: Size of the whole file.
            chunks: The bytes.

        Returns:
            The blob if the file is complete and has the digest; else the offset reached.

        Raises:
            Refusal: API.OFFSET, the upload stands elsewhere or somebody else is writing; ATT.DIGEST, ATT.SIZE.
            TransientError: SYS.SPOOL
        """
        # Also where the file is here already: whoever names a digest must show that he has the bytes.
        part = self._part(owner, digest)
        growing = _Part(part, total, _size_of(part) or 0, self._room)
        # Uploads that all begin and then all stop for want of room help nobody: there is to be enough for each to end.
        # Somebody else who writes this one does not count: one of the two is told so.
        others = sum(one.missing_bytes for one in self._growing if one.path != part)
        self._room.require(growing.missing_bytes + others)
        self._growing.add(growing)
        try:
            await to_its_end(growing.open, offset)
            last = await _write_all(growing, chunks)
            if last is None:
                return growing.size_bytes
            return await self._finish(growing, last, Blob(digest, total))
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error
        finally:
            self._growing.remove(growing)
            with contextlib.suppress(OSError):  # What was not written above has been reported above.
                growing.close()

    async def _finish(self, growing: "_Part", last: bytes, blob: Blob) -> Blob:
        if self._root is not None:
            await to_its_end(_finish_durably, growing, last, blob, f"{self._root}/{_key(blob.sha256)}")
            return blob
        await to_its_end(growing.end, last, blob)
        await self._adopt(growing.path, blob)
        growing.path.unlink(missing_ok=True)
        return blob

    async def unfinished(self, owner: str, digest: str) -> int | None:
        """Return how many bytes have come of an upload that was begun and is not complete; None if there is none."""
        return _size_of(self._part(owner, digest))

    async def cut_back(self, owner: str, digest: str, size_bytes: int) -> None:
        """Take back what has come of an upload beyond some bytes: it is not what its sender meant to send.

        Raises:
            Refusal: API.OFFSET; somebody is writing.
            TransientError: SYS.SPOOL
        """
        await asyncio.to_thread(_cut_back, self._part(owner, digest), size_bytes)

    async def give_up(self, owner: str, digest: str) -> bool:
        """Remove an upload that is not complete; False if there is none.

        Raises:
            Refusal: API.OFFSET; somebody is writing.
            TransientError: SYS.SPOOL
        """
        part = self._part(owner, digest)
        if _size_of(part) is None:
            return False
        await asyncio.to_thread(_give_up, part)
        return True

    async def tidy(self, now: datetime) -> int:
        """Remove unfinished files that nobody has written to for days; return how many those were.

        An upload that was cut is kept long enough for an office with a thin line to go on after a weekend.
        """
        return await asyncio.to_thread(_tidy, self._staging, now.timestamp() - ABANDONED.total_seconds())

    def _part(self, owner: str, digest: str) -> Path:
        _require_digest(digest)
        # The owner is a code of the roll; its hash keeps the file name plain, and one office's parts from another's.
        return self._staging / f"part-{sha256(owner.encode()).hexdigest()[:16]}-{digest}"

    # --- reading -------------------------------------------------------------------

    async def exists(self, digest: str) -> int | None:
        """Return the size of a blob, or None."""
        _require_digest(digest)
        if self._root is not None:
            return _size_of(f"{self._root}/{_key(digest)}")
        try:
            return int((await _told(lambda: obstore.head_async(self._store, _key(digest))))["size"])
        except FileNotFoundError:
            return None

    async def stream(
        self, digest: str, start: int = 0, end: int | None = None, *, size: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes [start, end) of a blob.

        Args:
            digest: Its name.
            start: First byte.
            end: One behind the last byte; None: the end.
            size: What `exists` answered, if it was asked just now.

        Raises:
            PermanentError: API.NOT_FOUND
            TransientError: SYS.SPOOL
        """
        if size is None:
            size = await self.exists(digest)
        if size is None:
            raise PermanentError("API.NOT_FOUND")
        end = size if end is None else min(end, size)
        while start < end:
            stop = min(start + _CHUNK_BYTES, end)
            yield await self._range(digest, start, stop)
            start = stop

    async def _range(self, digest: str, start: int, end: int) -> bytes:
        if self._root is not None:
            return await asyncio.to_thread(_read_range, f"{self._root}/{_key(digest)}", start, end)
        return bytes(await _told(lambda: obstore.get_range_async(self._store, _key(digest), start=start, end=end)))

    async def used_bytes(self) -> int:
        """Return the sum of the sizes of all blobs."""
        total = 0

        async def count() -> int:
            nonlocal total
            async for page in obstore.list(self._store, prefix=_PREFIX, chunk_size=1000):
                total += sum(int(meta["size"]) for meta in page)
            return total

        return await _told(count)


async def _told(call: Callable[[], Awaitable[T]]) -> T:
    """Await a store's answer; what it cannot do now is transient."""
    try:
        return await call()
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise TransientError("SYS.SPOOL") from error


def _key(digest: str) -> str:
    return f"{_PREFIX}/{digest[:2]}/{digest}"


def _lay_out(folder: str) -> None:
    try:
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            for name in {f"{number:02x}" for number in range(256)} - set(os.listdir(folder)):
                os.makedirs(f"{folder}/{name}", exist_ok=True)  # Routers begin together.
        if os.path.isdir(folder):
            # However many were made, and by whom: the next file in one of them finds it there, and syncs that one alone.
            private.sync_folder(folder)
            private.sync_folder(os.path.dirname(folder))
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error


def _require_digest(digest: str) -> None:
    if _DIGEST.fullmatch(digest) is None:
        raise PermanentError("API.NOT_FOUND")


def _give_place(path: str, target: str) -> None:
    """Move a file that has been checked to its place, whatever stands there."""
    _move_durably(path, target)


def _move_durably(source: str, target: str) -> None:
    """Rename within the disk, or copy across disks; then sync the folder that names it."""
    try:
        folder = os.path.dirname(target)
        folders = [folder]
        try:
            _move(source, target)
        except FileNotFoundError:  # It is the first in its folder.
            folders.append(os.path.dirname(folder))
            os.makedirs(folder, exist_ok=True)
            _move(source, target)
        for one in folders:
            private.sync_folder(one)
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error


def _move(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_durably(Path(source), Path(target))
        os.unlink(source)


@dataclass(frozen=True, slots=True)
class _Small:
    """A small file that is here as a whole."""

    content: bytes
    digest: str
    beside: str  # Where it is written,
    target: str  # and where it is put then.


async def _put_all(files: Sequence[_Small]) -> list[Exception | None]:
    """Give small files their places, a few in each thread."""
    some = [files[start : start + _IN_A_THREAD] for start in range(0, len(files), _IN_A_THREAD)]
    done = await asyncio.gather(
        *(asyncio.to_thread(lambda few: list(map(_put_one, few)), few) for few in some), return_exceptions=True
    )
    for one in done:  # When nobody writes any more: whoever is asked again begins where nothing is.
        if isinstance(one, BaseException):
            raise one
    return [one for few in done if not isinstance(few, BaseException) for one in few]


def _put_one(file: _Small) -> Exception | None:
    try:
        _put_durably(file.content, file.digest, file.beside, file.target)
    except AxisError as error:
        return error
    return None


def _put_durably(content: bytes, digest: str, beside: str, target: str) -> None:
    """Write a file under the name that its bytes give it.

    Each call of the system lets go of the interpreter and waits for it again, so that there are no more than it takes;
    and every document comes by, so that paths are texts: to join objects of `pathlib` takes as long as to move a file.
    """
    _require_same(sha256(content).hexdigest(), digest)
    is_kept = False
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if os.write(opened, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), beside)
            os.fsync(opened)
        finally:
            os.close(opened)
        _move_durably(beside, target)
        is_kept = True
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error
    finally:
        if not is_kept:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)


def _copy_durably(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with source.open("rb") as reader, beside.open("xb") as writer:
            while chunk := reader.read(_CHUNK_BYTES):
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)


def _cut_back(part: Path, size_bytes: int) -> None:
    with _open_locked(part) as file:
        try:
            file.truncate(size_bytes)
            os.fsync(file.fileno())
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error


def _give_up(part: Path) -> None:
    with _open_locked(part):
        part.unlink(missing_ok=True)


def _tidy(staging: Path, before: float) -> int:
    removed = 0
    for path in staging.iterdir():
        with contextlib.suppress(OSError, Refusal, TransientError):
            if path.stat().st_mtime < before:
                with _open_locked(path):  # Whoever writes it now holds it.
                    path.unlink()
                removed += 1
    return removed


def _open_locked(path: Path) -> IO[bytes]:
    """Open a part for one writer.

    Raises:
        Refusal: API.OFFSET; somebody is writing it now, or has just finished it: then it is a blob of the spool.
        TransientError: SYS.SPOOL
    """
    try:
        file = private.open_alone(path)
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error
    if file is None:
        raise refuse("API.OFFSET", "busy")
    return file


class _Part:
    """An upload that grows, in the hands of one writer. What is written from the first byte on is hashed on its way."""

    def __init__(self, path: Path, total: int, come: int, room: Room) -> None:
        self.path = path
        self.total = total
        self.size_bytes = come
        self._room = room
        self._file: IO[bytes] | None = None
        self._hash: Any = None  # None: some of it came earlier.
        self._error: OSError | TransientError | None = None

    @property
    def missing_bytes(self) -> int:
        """What has not come yet."""
        return max(self.total - self.size_bytes, 0)

    def open(self, offset: int | None) -> None:
        """Go on at an offset; None: at the beginning, whatever came before.

        Raises:
            Refusal: API.OFFSET; it stands elsewhere, or somebody else is writing.
            TransientError: SYS.SPOOL
            OSError: It cannot be used.
        """
        self._file = _open_locked(self.path)
        come = os.fstat(self._file.fileno()).st_size
        if come > self.total or offset is None:  # More than the file is: these are not its bytes.
            self._file.truncate(0)
            come = 0
        if come != (offset or 0):
            raise refuse("API.OFFSET", str(come))
        self._file.seek(come)
        self.size_bytes = come
        self._hash = None if come else sha256()

    def write(self, data: bytes) -> None:
        """Append bytes; after bytes that could not be written no more are, for they would not follow them.

        Raises:
            OSError: They cannot be written.
            TransientError: SYS.SPOOL; there is no room for them.
        """
        if self._error is not None:
            raise self._error
        try:
            self._room.take(len(data))
            self._open_file.write(data)
        except (OSError, TransientError) as error:
            self._error = error
            raise
        if self._hash is not None:
            self._hash.update(data)
        self.size_bytes += len(data)

    def write_durably(self, data: bytes) -> None:
        """Append bytes, and put all of it on the disk; what came before them, where they cannot be written."""
        try:
            self.write(data)
        finally:
            self._open_file.flush()
            os.fsync(self._open_file.fileno())

    def end(self, last: bytes, blob: Blob) -> None:
        """Append the last bytes, and compare the whole with what it should be; what is not that is no use to anybody.

        Raises:
            Refusal: ATT.DIGEST; it is gone.
            OSError: They cannot be written.
            TransientError: SYS.SPOOL; there is no room for them.
        """
        self.write_durably(last)
        found = _digest_of(self._open_file) if self._hash is None else self._hash.hexdigest()
        if found != blob.sha256:
            self.path.unlink(missing_ok=True)
        _require_same(found, blob.sha256)

    def close(self) -> None:
        """Let go of it; what has come stays."""
        if self._file is not None:
            self._file.close()

    @property
    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise AssertionError("a part is opened before it is written to")
        return self._file


async def _write_all(growing: _Part, chunks: AsyncIterator[bytes]) -> bytes | None:
    """Write what comes.

    Returns:
        The last piece, if with it everything has come; None if not, and then what has come is on the disk.

    Raises:
        Refusal: ATT.SIZE; more comes than was announced.
        OSError: It cannot be written.
        TransientError: SYS.SPOOL; there is no room for it.
    """
    total, come = growing.total, growing.size_bytes
    gathered = bytearray()
    before: asyncio.Future[None] | None = None  # The last piece, which is written and hashed while the next one comes.
    is_whole = False
    try:
        async for chunk in chunks:
            come += len(chunk)
            if come > total:
                raise refuse("ATT.SIZE", f"> {total} bytes")
            gathered += chunk
            if len(gathered) >= _PIECE_BYTES and come < total:
                await _written(before)
                before = asyncio.ensure_future(asyncio.to_thread(growing.write, bytes(gathered)))
                gathered.clear()
        await _written(before)
        is_whole = come == total
    finally:
        if not is_whole:
            with contextlib.suppress(OSError, TransientError):  # The next write says it again.
                await _written(before)
            # What has arrived stays, whatever cut the line: its owner asks for the offset and goes on.
            await asyncio.to_thread(growing.write_durably, bytes(gathered))
    return bytes(gathered) if is_whole else None


async def _written(piece: asyncio.Future[None] | None) -> None:
    """Wait for a write that was begun; to wait for it ends it as little as to be ended meanwhile."""
    if piece is not None:
        await asyncio.wait([piece])
        piece.result()


def _finish_durably(growing: _Part, last: bytes, blob: Blob, target: str) -> None:
    """Give a part that is complete its place, if it is what it should be."""
    growing.end(last, blob)
    _give_place(os.fspath(growing.path), target)
    growing.path.unlink(missing_ok=True)


def _require_same(found: str, wanted: str) -> None:
    if found != wanted:
        raise refuse("ATT.DIGEST", f"{found} ≠ {wanted}")


def _size_of(path: str | Path) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error


def _read_range(path: str, start: int, end: int) -> bytes:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(opened, end - start, start)
        finally:
            os.close(opened)
    except OSError as error:
        raise TransientError("SYS.SPOOL") from error


def _digest_of(file: IO[bytes]) -> str:
    file.seek(0)
    digest: Any = sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return str(digest.hexdigest())
