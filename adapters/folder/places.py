"""Places: the folders, and how things come into them whole.

Everything is written beside its place and renamed into it, on the disk before
the rename counts. Hidden names (".x") and names of half-written things (".part",
".tmp", "~") are nobody's business but their writer's. What file managers leave
about a folder for themselves is nothing at all.

Clerks move folders away, and a name that is free again is given again. So what
is remembered is only where to look: a folder is the one that is meant if the
facts in it say so.
"""

import fcntl
import json
import os
import re
import signal
import time
import unicodedata
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

_HALF = (".part", ".partial", ".tmp", ".crdownload", ".filepart", "~")
_LITTER = {".ds_store", ".directory", "desktop.ini", "thumbs.db"}  # Of macOS, KDE and Windows.
_APPLE = "._"  # Begins the name of what macOS keeps beside a file on a share.
_UNSAFE = re.compile(r"[^\w .,()+=@-]", re.UNICODE)
_HIDING = re.compile(r"^[ .]+")
_NAME_CHARS, _SUFFIX_CHARS = 80, 20
ARRIVED, SUBMITTED = "document.json", ".submission.json"  # Facts of what has come, and of what is sent.
# What may be remembered of a folder: in which of its facts, under which name, the key stands, alone or among others.
_NAMED = {
    "inbox": (ARRIVED, "envelope_id"),
    "submission": (SUBMITTED, "submission_id"),
    "envelope": (SUBMITTED, "envelope_id"),
    "document": (SUBMITTED, "document_id"),
    "recall": (SUBMITTED, "recalls"),
}
_FOLDERS = ("drop", "sending", "sent", "rejected", "inbox", "withdrawn", "receipts", ".index")


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one office."""

    root: Path
    drop: Path
    sending: Path
    sent: Path
    rejected: Path
    inbox: Path
    withdrawn: Path
    receipts: Path
    index: Path  # What belongs to what; hidden from clerks.

    @classmethod
    def below(cls, root: Path) -> "Places":
        """Return the folders below `root`; `make` makes them."""
        return cls(root, *(root / name for name in _FOLDERS))

    def make(self) -> None:
        """Make the folders that are missing.

        Raises:
            OSError: They cannot be made.
        """
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def remember(self, kind: str, key: str, folder: Path) -> None:
        """Note where the folder of a submission, document, envelope or recall is; `kind` is a key of _NAMED."""
        write_whole(self.index / f"{kind}-{_key(key)}", str(folder.relative_to(self.root)).encode())

    def find(self, kind: str, key: str) -> Path | None:
        """Return the folder that was remembered, if it is still there, and no other under its name."""
        try:
            folder = self.root / (self.index / f"{kind}-{_key(key)}").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        facts, name = _NAMED[kind]
        return folder if folder.is_dir() and _names(folder / facts, name, key) else None


def _names(file: Path, name: str, key: str) -> bool:
    """Tell whether facts say so; what cannot be read says nothing."""
    try:
        said = (read_facts(file) or {}).get(name)
    except ValueError:
        return False
    return key in said if isinstance(said, list) else said == key


def _key(key: str) -> str:
    """Return a file name for a key: what a person can read of it, and what tells it from every other."""
    readable = re.sub(r"[^\w.-]", "_", key, flags=re.ASCII)
    return f"{readable[:_NAME_CHARS]}-{sha256(key.encode()).hexdigest()[:16]}"


def safe_name(text: str) -> str:
    """Return text as a name that every file system and person can read.

    It ends as it ended, and begins as it began: the axis has judged names, and
    what was harmless must not become a program or a device by losing a sign.
    """
    plain = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).rstrip(" .")
    plain = _HIDING.sub("-", plain)
    stem, dot, suffix = plain.rpartition(".")
    if not stem or len(suffix) > _SUFFIX_CHARS:
        return plain[:_NAME_CHARS].rstrip(" .") or "khong-ten"
    return stem[: _NAME_CHARS - len(dot + suffix)].rstrip(" .") + dot + suffix


def free_name(folder: Path, name: str) -> Path:
    """Return a path in a folder that nothing has yet: NAME, NAME (2), NAME (3), ..."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name} ({number})"
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is all of it or nothing, on the disk."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync(path.parent)


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write facts for a program to read."""
    write_whole(path, json.dumps(facts, ensure_ascii=False, indent=2, default=str).encode())


def read_facts(path: Path) -> dict[str, Any] | None:
    """Read what `write_facts` wrote; None if there is nothing.

    Raises:
        ValueError: It is something else.
    """
    try:
        facts: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(facts, dict):
        raise ValueError(f"{path.name} holds no facts")  # noqa: TRY004 - of the file, not of an argument.
    return facts


def folders_in(place: Path) -> list[Path]:
    """Return the folders in a place, by name. Hidden ones, and files as an explorer leaves them, are none of ours."""
    return sorted(path for path in place.iterdir() if not path.name.startswith(".") and path.is_dir())


def move(source: Path, target: Path) -> Path:
    """Rename a file or folder, on the disk when this returns."""
    source.rename(target)
    sync(target.parent)
    sync(source.parent)
    return target


def sync(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


# --- what is still being written ---------------------------------------------------

Stamp = tuple[tuple[str, int, int, int], ...]  # (name, inode, bytes, changed ns) of every file.


@dataclass(slots=True)
class Settling:
    """Tells things that nobody writes any more from things that are still coming.

    A thing has come when it has stood unchanged for a while, and, where the
    kernel can tell (a local file of ours), nobody has it open for writing.
    """

    settle_s: float
    _seen: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)

    def settled(self, folder: Path) -> list[Path]:
        """Return the things in a folder that have come, the oldest first."""
        now = time.monotonic()
        seen: dict[Path, tuple[Stamp, float]] = {}
        ready: list[tuple[int, Path]] = []
        for path in folder.iterdir():
            if is_half(path.name) or is_litter(path.name) or path.is_symlink():
                continue
            try:
                stamp = _stamp(path)
                since = self._seen[path][1] if path in self._seen and self._seen[path][0] == stamp else now
                seen[path] = (stamp, since)
                if stamp and now - since >= self.settle_s and not _is_being_written(path):
                    ready.append((max(changed for *_, changed in stamp), path))
            except OSError:
                continue  # It went away while we looked, or is not ours to read yet: look again later.
        self._seen = seen
        return [path for _, path in sorted(ready)]


def is_half(name: str) -> bool:
    """Tell whether a name says that the thing is not finished."""
    return name.startswith((".", "~")) or name.casefold().endswith(_HALF)


def is_litter(name: str) -> bool:
    """Tell whether a file is what a file manager notes about a folder, and nobody's document."""
    return name.startswith(_APPLE) or name.casefold() in _LITTER


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not is_litter(file.name))


def _stamp(path: Path) -> Stamp:
    """Return what changes when anybody writes; () while something in it is half-written."""
    files = _files(path)
    if any(is_half(file.name) for file in files):
        return ()
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _is_being_written(path: Path) -> bool:
    """Ask the kernel whether anybody has one of the files open for writing.

    A read lease is granted only where nobody has (fcntl(2), F_SETLEASE). On a
    network file system, or for files of another user, it cannot be asked: then
    the time that the thing stood unchanged must do.
    """
    return any(_has_writer(file) for file in _files(path))


def _has_writer(file: Path) -> bool:
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        # Who opens it for writing just now makes the kernel signal us. The usual signal, SIGIO, would end the process.
        fcntl.fcntl(opened, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(opened)
    return False
