"""Segments: small files that wait to be sent lie one after the other in a few larger files.

In a database each would be written page by page, with a sum of every page, and
later once more; here it is one write and its share of one sync. What is put here
counts when `sync` has returned, so that comes before the commit of what refers
to it. A segment in which nothing waits any more is written anew from its start;
which ones these are is asked between commits, since one that fails leaves in
force what was there before.

Spec: POSIX fdatasync; design law 4.
"""

import errno
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from axis.private import make_folder, sync_folder

_SEGMENT_BYTES = 16 * 1024 * 1024  # When so much is in one, the next is begun.
_SPARE = 2  # So many are kept with nothing in them: to make one costs more than to write it anew.


@dataclass(frozen=True, slots=True)
class Place:
    """Where a small file lies."""

    segment: int
    offset: int


@dataclass(slots=True)
class _Writing:
    """The segment that is being written."""

    number: int
    descriptor: int
    end: int = 0
    is_synced: bool = True


@dataclass(slots=True)
class Segments:
    """The segments of one folder; one thread uses them."""

    folder: Path
    needed: Callable[[], Collection[int]]  # Numbers of those in which something waits.
    _writing: _Writing | None = field(default=None, init=False)
    _is_full: bool = field(default=True, init=False)  # The present one; or nobody has looked yet.

    def put(self, content: bytes) -> Place:
        """Write a small file behind the others.

        Raises:
            OSError: It cannot be written now.
        """
        if self._writing is None:
            self._writing = self._make()
        writing = self._writing
        place = Place(writing.number, writing.end)
        writing.is_synced = False
        writing.end += len(content)
        rest, offset = memoryview(content), place.offset
        while rest:
            written = os.pwrite(writing.descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
        return place

    def sync(self) -> None:
        """Return once all that was put is on the disk.

        Raises:
            OSError: It may not be.
        """
        writing = self._writing
        if writing is None or writing.is_synced:
            return
        try:
            os.fdatasync(writing.descriptor)
        except OSError:
            self.close()  # The system may have dropped what it could not write: nothing is put behind that.
            raise
        writing.is_synced = True
        self._is_full = writing.end >= _SEGMENT_BYTES

    def read(self, place: Place, size_bytes: int) -> bytes:
        """Return a small file.

        Raises:
            OSError: It cannot be read now.
        """
        with self._path(place.segment).open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), size_bytes, place.offset)
        if len(content) < size_bytes:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), file.name)
        return content

    def turn_over(self) -> None:
        """Go on in a segment with nothing in it if the present one is full; called while nothing is being committed.

        Raises:
            OSError: The folder cannot be read, or written.
        """
        if not self._is_full:
            return
        self.close()
        idle = sorted(self._there() - set(self.needed()))
        for number in idle[1 + _SPARE :]:
            self._path(number).unlink()
        if idle:
            self._writing = self._from_start(idle[0])
        self._is_full = False

    def close(self) -> None:
        """Put nothing more into the present segment."""
        if self._writing is not None:
            os.close(self._writing.descriptor)
            self._writing = None

    def _make(self) -> _Writing:
        make_folder(self.folder)
        # Not the number of one that is missing: what waits in it would be taken for what comes.
        number = max(self._there() | set(self.needed()), default=0) + 1
        os.close(os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(self.folder)
        return self._from_start(number)

    def _from_start(self, number: int) -> _Writing:
        return _Writing(number, os.open(self._path(number), os.O_WRONLY))

    def _there(self) -> set[int]:
        try:
            return {int(name) for name in os.listdir(self.folder) if name.isascii() and name.isdigit()}
        except FileNotFoundError:
            return set()

    def _path(self, number: int) -> Path:
        return self.folder / str(number)
