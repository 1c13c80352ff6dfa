"""Backup: ledger and attachments that belong together, in one folder; and an axis made from it.

    manifest.json         what the backup holds, with digests; written last
    copy-<time>-<id>/     the ledger, and trust/ with what anybody may read of it
    files/<ab>/<digest>   attachments; those of earlier backups stay and are not copied again
                          (….damaged: one that was not as it was written, and that the spool had not whole either)

The ledger is copied first and then every file that the copy names: a file more
does no harm, a file less does. What has no manifest is no backup. A second
backup into the same folder takes the place of the first only when it is whole.
A restore goes the other way: files, trust, and the ledger last, so that what
was broken off has restored nothing that counts.

Private keys are no part of it: they are kept where they were made.

Limits: of an attachment that an earlier backup brought only the size is looked at,
unless it is to be verified; then it is read, and copied anew where it is damaged.
A restore reads all of them, and what is in the spool already; a file must be whole
in one of the two.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from axis import private
from axis.errors import PermanentError, TransientError
from axis.ledger import backup as ledgers
from axis.ledger.engine import knows
from axis.seal.folder import AUTHORITIES, CERTIFICATES, REVOCATIONS
from axis.spool import Spool

MANIFEST = "manifest.json"
OFFICES = "offices.toml"

_PACKAGE = "document-axis"
_CHUNK_BYTES = 1024 * 1024
_FILES, _TRUST, _COPY, _LOCK = "files", "trust", "copy-", ".lock"
_SECRET = b"PRIVATE KEY"

# Opens a bar for something of so many bytes; yields what is told how many have come.
Shown = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


def _inside(path: str) -> str:
    """Refuse a path that leads out of the copy that it begins with."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or not parts[0].startswith(_COPY) or ".." in parts:
        raise ValueError("leads elsewhere")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an axis keeps what belongs into a backup."""

    ledger_url: str
    spool_url: str
    staging: Path
    trust: Path
    offices: Path


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Value):
    """One file of a backup."""

    path: Annotated[str, AfterValidator(_inside)]  # From the backup's folder.
    sha256: Digest
    size_bytes: Count


class Manifest(_Value):
    """What a backup holds. Without it, and if anything differs from it, nothing is restored."""

    format: Literal[1] = 1
    made_at: AwareDatetime  # What was accepted later is not in it.
    package: str  # Version of the axis that made it.
    ledger_kind: Literal["sqlite", "postgresql"]
    ledger_revision: str
    documents: Count
    deliveries: dict[str, int]  # By state.
    receipts: Count
    last_event: Count
    ledger: Part
    trust: tuple[Part, ...]
    files: dict[Digest, Count]  # Attachments: digest, size in bytes.
    missing: tuple[Digest, ...]  # Named by the ledger, but not to be had whole from the spool when the backup was made.
    digest: str = ""  # Of all the rest.

    def sealed(self) -> Self:
        """Return the same manifest with its digest."""
        return self.model_copy(update={"digest": self._digest()})

    def holds(self) -> bool:
        """Tell whether nothing was changed since it was written."""
        return self.digest == self._digest()

    def _digest(self) -> str:
        return sha256(self.model_copy(update={"digest": ""}).model_dump_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a backup did."""

    manifest: Manifest
    copied: int  # Files that were not in the backup, or damaged there.
    copied_bytes: int
    replaced: tuple[str, ...]  # Digests of those that were damaged.
    left_out: tuple[str, ...]  # Files of the trust folder that hold a private key.


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did, and what lies between the backup and now."""

    manifest: Manifest
    gap: timedelta  # What was accepted in it, the ledger does not know.
    resumed: ledgers.Resumed
    brought: int  # Files that were not in the spool.
    replaced: tuple[str, ...]  # Digests of files that were in the spool, damaged.
    damaged: tuple[str, ...]  # Digests of files that are damaged in the backup, and whole in the spool.
    trust_placed: tuple[str, ...]
    trust_kept: tuple[str, ...]  # Was there, and was left as it is.


# --- making one -------------------------------------------------------------------------------


async def make(target: Path, place: Place, *, now: datetime, shown: Shown, verify: bool = False) -> Made:
    """Back an axis up, running or not.

    Args:
        target: The folder; made if it is not there, and gone on with if it holds a backup.
        place: Where the axis keeps things.
        now: The present; what is accepted later may not be in the backup.
        shown: Shows a person how far it is.
        verify: Read what earlier backups have brought, too.

    Raises:
        PermanentError: CFG.INVALID; the folder cannot be written, or there is no ledger.
        TransientError: SYS.LEDGER, SYS.SPOOL
    """
    with _held(target):
        _forget_broken_off(target)  # It may hold the room that is needed.
        async with _new_copy(target, now) as folder:
            contents, ledger = await _copy_ledger(folder, place.ledger_url, shown)
            with shown("tệp đính kèm / attachments", sum(contents.files.values())) as told:
                async with Spool.open(place.spool_url, place.staging) as spool:
                    carried = await _carry(contents.files, spool, target / _FILES, told, verify=verify)
            trust, left_out = await asyncio.to_thread(_copy_trust, folder, place)
            manifest = Manifest(
                made_at=now,
                package=version(_PACKAGE),
                ledger_kind="sqlite" if contents.kind == ledgers.SQLITE else "postgresql",
                ledger_revision=contents.revision,
                documents=contents.documents,
                deliveries=contents.deliveries,
                receipts=contents.receipts,
                last_event=contents.last_event,
                ledger=ledger,
                trust=trust,
                files={digest: size for digest, size in contents.files.items() if digest not in carried.missing},
                missing=carried.missing,
            ).sealed()
            await asyncio.to_thread(_write_manifest, target, manifest)
        _forget_copies(target, but=folder.name)
    return Made(
        manifest=manifest,
        copied=carried.copied,
        copied_bytes=carried.copied_bytes,
        replaced=carried.replaced,
        left_out=left_out,
    )


@contextlib.contextmanager
def _held(target: Path) -> Iterator[None]:
    """Hold a folder for one backup at a time; what the disk refuses is said with its reason.

    Raises:
        PermanentError: CFG.INVALID
    """
    try:
        private.make_folder(target)
        with _create(target / _LOCK) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PermanentError("CFG.INVALID", f"another backup into {target} is under way") from error
            yield
    except OSError as error:
        raise _cannot(target, error) from error


def _cannot(folder: Path, error: OSError) -> PermanentError:
    return PermanentError("CFG.INVALID", f"{error.filename or folder}: {error.strerror or error}")


@contextlib.asynccontextmanager
async def _new_copy(target: Path, now: datetime) -> AsyncIterator[Path]:
    """Yield a folder of its own for this backup; it goes again if the backup comes to nothing."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_COPY}{now:%Y%m%dT%H%M%SZ}-", dir=target))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


async def _copy_ledger(folder: Path, url: str, shown: Shown) -> tuple[ledgers.Contents, Part]:
    size = await ledgers.size_bytes(url)
    _require_room(folder, size)
    file = folder / ledgers.FILES[ledgers.kind_of(url)]
    with shown("sổ cái / ledger", size) as told:
        contents = await ledgers.copy(url, file, told)
        told(size)
    return contents, await asyncio.to_thread(_part, folder.parent, file)


def _require_room(folder: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise PermanentError(
            "CFG.INVALID", f"{folder.parent} has {free} bytes left, the ledger alone has {size_bytes}: make room"
        )


@dataclass(frozen=True, slots=True)
class _Carried:
    copied: int = 0
    copied_bytes: int = 0
    replaced: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


async def _carry(
    files: dict[str, int], spool: Spool, folder: Path, told: Callable[[int], None], *, verify: bool
) -> _Carried:
    """Copy what is not in the folder yet, or damaged there.

    What the spool has lost, or cannot read, is noted: it must not keep the rest from being saved.
    """
    done, come = _Carried(), 0
    for digest, size in sorted(files.items()):
        file = _stored(folder, digest)
        if not _is_there(file, size) or (verify and not await asyncio.to_thread(_holds, file, digest)):
            damaged = (digest,) if file.exists() else ()
            if await _fetch(spool, digest, size, file):
                done = replace(
                    done,
                    copied=done.copied + 1,
                    copied_bytes=done.copied_bytes + size,
                    replaced=done.replaced + damaged,
                )
            else:
                _put_aside(file)
                done = replace(done, missing=(*done.missing, digest))
        come += size
        told(come)
    await asyncio.to_thread(_sync_folders, folder)
    return done


def _put_aside(file: Path) -> None:
    """Give a damaged file another name: the next backup must not take it for a good one, a person may still read it."""
    with contextlib.suppress(FileNotFoundError):
        file.replace(file.with_name(f"{file.name}.damaged"))


def _stored(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / digest


def _is_there(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


async def _fetch(spool: Spool, digest: str, size: int, file: Path) -> bool:
    """Copy one file out of the spool, if it is whole there and can be read.

    Raises:
        TransientError: SYS.SPOOL; it is not this file alone that cannot be read.
    """
    try:
        return await _copy_out(spool, digest, size, file)
    except TransientError:  # Of a damaged disk, perhaps.
        await spool.ping()  # Raises if it is not this file alone.
        return False


async def _copy_out(spool: Spool, digest: str, size: int, file: Path) -> bool:
    if await spool.exists(digest) != size:
        return False
    private.make_folder(file.parent)
    beside = file.with_name(f".{file.name}.part")
    found = sha256()
    try:
        with _create(beside) as out:
            async for chunk in spool.stream(digest, size=size):
                found.update(chunk)
                await asyncio.to_thread(out.write, chunk)
            await asyncio.to_thread(_sync, out)
        if found.hexdigest() != digest:
            return False
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return True


def _copy_trust(folder: Path, place: Place) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Copy what anybody may read of the trust; return it, and the names of what holds a private key and was left out."""
    parts, left_out = [], []
    for name, file in _public(place).items():
        content = file.read_bytes()
        if _SECRET in content:
            left_out.append(name)
            continue
        copied = folder / _TRUST / name
        private.make_folder(copied.parent)
        _write(copied, content)
        parts.append(_part(folder.parent, copied))
    for made in (folder / _TRUST / CERTIFICATES, folder / _TRUST, folder):
        if made.is_dir():
            private.sync_folder(made)
    return tuple(parts), tuple(left_out)


def _public(place: Place) -> dict[str, Path]:
    """Return the public files of the trust: name in the backup, place."""
    named = {
        AUTHORITIES: place.trust / AUTHORITIES,
        REVOCATIONS: place.trust / REVOCATIONS,
        OFFICES: place.offices,
    } | {f"{CERTIFICATES}/{file.name}": file for file in sorted((place.trust / CERTIFICATES).glob("*.pem"))}
    return {name: file for name, file in named.items() if file.is_file()}


def _write_manifest(target: Path, manifest: Manifest) -> None:
    beside = target / f".{MANIFEST}.new"
    _write(beside, manifest.model_dump_json(indent=1).encode())
    private.sync_folder(target)  # What it speaks of is there before it is.
    beside.replace(target / MANIFEST)
    private.sync_folder(target)


def _forget_broken_off(target: Path) -> None:
    """Remove the copies of backups that were ended before they could do it themselves: those that no manifest names."""
    try:
        manifest = Manifest.model_validate_json((target / MANIFEST).read_bytes())
    except FileNotFoundError:
        _forget_copies(target, but=None)
    except (OSError, ValidationError):
        pass  # It is damaged, or of a later version: what it names may still be of use until this backup is whole.
    else:
        if manifest.holds():
            _forget_copies(target, but=PurePosixPath(manifest.ledger.path).parts[0])


def _forget_copies(target: Path, *, but: str | None) -> None:
    for folder in target.glob(f"{_COPY}*"):
        if folder.name != but:
            shutil.rmtree(folder, ignore_errors=True)


# --- going back to one -------------------------------------------------------------------------


async def restore(source: Path, place: Place, *, now: datetime, shown: Shown) -> Restored:
    """Make an axis from a backup, where there is none.

    Raises:
        PermanentError: CFG.INVALID; the backup is not whole, or there is an axis already. No ledger was made.
        TransientError: SYS.LEDGER, SYS.SPOOL
    """
    manifest = await asyncio.to_thread(read, source)
    _require_same_kind(manifest, place.ledger_url)
    await ledgers.require_none(place.ledger_url)
    await asyncio.to_thread(_require_parts, source, manifest)
    with shown("tệp đính kèm / attachments", sum(manifest.files.values())) as told:
        async with Spool.open(place.spool_url, place.staging) as spool:
            brought = await _bring(source / _FILES, manifest.files, spool, told)
    try:
        placed, kept = await asyncio.to_thread(_place_trust, source, manifest, place)
    except OSError as error:
        raise _cannot(place.trust, error) from error
    resumed = await ledgers.restore(place.ledger_url, source / manifest.ledger.path, made_at=manifest.made_at, now=now)
    return Restored(
        manifest=manifest,
        gap=now - manifest.made_at,
        resumed=resumed,
        brought=brought.number,
        replaced=brought.replaced,
        damaged=brought.damaged,
        trust_placed=placed,
        trust_kept=kept,
    )


def read(source: Path) -> Manifest:
    """Read what a backup says of itself.

    Raises:
        PermanentError: CFG.INVALID; there is none, or it does not hold, or it was made by a later version of the axis.
    """
    file = source / MANIFEST
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise PermanentError(
            "CFG.INVALID", f"{source} has no {MANIFEST}: it is no backup, or one that was broken off; take another one"
        ) from error
    except OSError as error:
        raise _cannot(file, error) from error
    except ValidationError as error:
        raise _does_not_hold(MANIFEST) from error
    if not manifest.holds():
        raise _does_not_hold(MANIFEST)
    if not knows(manifest.ledger_revision):
        raise PermanentError(
            "CFG.INVALID",
            f"the ledger of this backup has schema {manifest.ledger_revision}, which this version does not know: install axis {manifest.package}",
        )
    return manifest


def _does_not_hold(name: str) -> PermanentError:
    return PermanentError(
        "CFG.INVALID", f"{name} of the backup is not as it was written: take another backup; no ledger was made"
    )


def _require_same_kind(manifest: Manifest, url: str) -> None:
    if ledgers.kind_of(url) != manifest.ledger_kind:
        raise PermanentError(
            "CFG.INVALID",
            f"this is a backup of a {manifest.ledger_kind} ledger: set AXIS_LEDGER_URL to one of that kind",
        )


def _require_parts(source: Path, manifest: Manifest) -> None:
    """Check the ledger and the trust; attachments are read once, later."""
    for part in (manifest.ledger, *manifest.trust):
        file = source / part.path
        if not _is_there(file, part.size_bytes) or _digest_of(file) != part.sha256:
            raise _does_not_hold(part.path)


@dataclass(frozen=True, slots=True)
class _Brought:
    number: int = 0  # Files that were not in the spool.
    replaced: tuple[str, ...] = ()  # Digests of those that were there, damaged.
    damaged: tuple[str, ...] = ()  # Digests of those that are damaged in the backup, and whole in the spool.


async def _bring(folder: Path, files: dict[str, int], spool: Spool, told: Callable[[int], None]) -> _Brought:
    """Put files into the spool, each under the digest that it must have; one that is whole there stays.

    What the folder lacks is looked for first: if it is nowhere, nobody waits for the others to hear it.
    """
    done, come = _Brought(), 0
    for digest, size in sorted(files.items(), key=lambda one: (_is_there(_stored(folder, one[0]), one[1]), one[0])):
        file = _stored(folder, digest)
        there = await spool.exists(digest)
        if there == size and await _is_whole(spool, digest, size):
            if not await asyncio.to_thread(_holds, file, digest):
                done = replace(done, damaged=(*done.damaged, digest))
        else:
            await _put(file, digest, size, spool)
            if there is None:
                done = replace(done, number=done.number + 1)
            else:
                done = replace(done, replaced=(*done.replaced, digest))
        come += size
        told(come)
    return done


async def _is_whole(spool: Spool, digest: str, size: int) -> bool:
    found = sha256()
    try:
        async for chunk in spool.stream(digest, size=size):
            await asyncio.to_thread(found.update, chunk)
    except TransientError:  # Of a damaged disk, perhaps. A spool that is not there at all takes no other file either.
        return False
    return found.hexdigest() == digest


async def _put(file: Path, digest: str, size: int, spool: Spool) -> None:
    if not _is_there(file, size):
        raise _is_nowhere(file)
    staged = spool.stage()
    try:
        with file.open("rb") as reader:
            while chunk := await asyncio.to_thread(reader.read, _CHUNK_BYTES):
                await asyncio.to_thread(staged.write, chunk)
        if staged.sha256 != digest:
            raise _is_nowhere(file)
        await spool.commit(staged)
    except OSError as error:
        raise _cannot(file, error) from error
    finally:
        staged.discard()


def _is_nowhere(file: Path) -> PermanentError:
    return PermanentError(
        "CFG.INVALID",
        f"{file} is not as it was written, and the spool here has not got it whole: put the file of this name of another backup there, or, where its axis still is, take axis backup --verify; no ledger was made",
    )


def _place_trust(source: Path, manifest: Manifest, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put files of the trust where there is none; one that is there may be newer, and stays.

    It is there whole or not at all: half of one would stay, too, when the restore is done again.
    """
    placed, kept = [], []
    for part in manifest.trust:
        name = str(PurePosixPath(*PurePosixPath(part.path).parts[2:]))  # Behind copy-.../trust/.
        file = place.offices if name == OFFICES else place.trust / name
        if file.exists():
            kept.append(name)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        private.write_public(file, (source / part.path).read_bytes())
        private.sync_folder(file.parent.parent)  # It may hold the folder only now.
        placed.append(name)
    return tuple(placed), tuple(kept)


# --- files ---------------------------------------------------------------------------------------


def _part(root: Path, file: Path) -> Part:
    return Part(path=str(file.relative_to(root)), sha256=_digest_of(file), size_bytes=file.stat().st_size)


def _digest_of(file: Path) -> str:
    found = sha256()
    with file.open("rb") as reader:
        while chunk := reader.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def _holds(file: Path, digest: str) -> bool:
    """Tell whether a file is there, can be read, and has the bytes that it must have."""
    try:
        return _digest_of(file) == digest
    except OSError:
        return False


def _write(file: Path, content: bytes) -> None:
    with _create(file) as out:
        out.write(content)
        _sync(out)


def _create(file: Path) -> IO[bytes]:
    """Open a file to be written from its beginning; a new one is its owner's alone, also in a folder that is not."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folders(folder: Path) -> None:
    if folder.is_dir():
        for inner in (*folder.iterdir(), folder):
            private.sync_folder(inner)
