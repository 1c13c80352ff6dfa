"""Private: folders and files that are the axis's own.

Whatever the umask of whoever starts us: a folder made here is its owner's
alone, and a file is there whole, or not at all. A crash between making and
filling one would leave an empty key or password, and lock its owner out, or
half of a revocation list.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def make_folder(path: Path) -> None:
    """Make a folder, and those that lead to it, for their owner alone; one that is there keeps the rights that it has.

    Raises:
        OSError: It cannot be made.
    """
    for folder in (*(one for one in reversed(path.parents) if not one.exists()), path):
        folder.mkdir(exist_ok=True, mode=0o700)


def write_secret(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that its owner alone can read; under its name there is all of it or nothing, on the disk.

    Raises:
        FileExistsError: It is there, and is not to be replaced.
        OSError: It cannot be written.
    """
    with _beside(path, content, 0o600) as beside:
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)  # Unlike a rename, it fails if there is something.


def write_public(path: Path, content: bytes) -> None:
    """Write a file that everybody may read; under its name there is all of it or what was there before, on the disk.

    Raises:
        OSError: It cannot be written.
    """
    with _beside(path, content, 0o644) as beside:
        beside.replace(path)


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of a file, which keeps its rights: there is the old one or the new one, whole.

    Raises:
        OSError: It cannot be written.
    """
    with _beside(path, text.encode(), path.stat().st_mode & 0o777) as beside:
        beside.replace(path)


@contextlib.contextmanager
def _beside(path: Path, content: bytes, rights: int) -> Iterator[Path]:
    """Write a file beside a place, whole and on the disk, for the block to put it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)  # Of a process that had this number, and died.
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), rights)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def open_alone(path: Path) -> BinaryIO | None:
    """Open a file to read and write for us alone; it is made if it is not there.

    Returns:
        The file, at its beginning; None if somebody holds it, or has put it elsewhere or removed it meanwhile.

    Raises:
        OSError: It cannot be opened.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None


def changed_ns(path: Path) -> int:
    """Return when a file was changed, to know it again by; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def sync_folder(folder: Path | str) -> None:
    """Return when the names in a folder are on the disk.

    Raises:
        OSError: They could not be brought there.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
