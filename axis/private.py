"""Private: folders and files that are the axis's own.

Whatever the umask of whoever starts us: a folder made here is its owner's
alone, and a secret is there whole, or not at all. A crash between making and
filling one would leave an empty key or password, and lock its owner out.
"""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone; one that is there keeps the rights that it has.

    Raises:
        OSError: It cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_secret(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that its owner alone can read; under its name there is all of it or nothing, on the disk.

    Raises:
        FileExistsError: It is there, and is not to be replaced.
        OSError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)  # Of a process that had this number, and died.
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)  # Unlike a rename, it fails if there is something.
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of a file, which keeps its rights: there is the old one or the new one, whole.

    Raises:
        OSError: It cannot be written.
    """
    rights = path.stat().st_mode & 0o777
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), rights)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk.

    Raises:
        OSError: They could not be brought there.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
