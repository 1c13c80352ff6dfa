"""Room: how much the disk of what is growing may still take, beside what must stay free.

The ledger and the broker may live on the same disk, and cannot do without.
Nobody knows how long a file becomes that arrives inside an envelope, so that
whoever writes takes room for each piece. To ask the disk each time would cost
more than it is worth: one look serves all that is written in this process,
for the next 16 MiB.

Limits: what others write between two looks is not seen, and the last of the
room may go to it.
"""

import shutil
import threading
from pathlib import Path

from axis.errors import TransientError

_LOOK_BYTES = 16 * 1024 * 1024


class Room:
    """Room on one disk; may be used from any thread."""

    def __init__(self, folder: Path, keep_free: int) -> None:
        self._folder = folder
        self._keep_free = keep_free  # 0: whatever is there may be used.
        self._seen = 0  # Of what the last look has found, what nobody has taken yet.
        self._lock = threading.Lock()

    def require(self, size_bytes: int) -> None:
        """Begin nothing that the disk cannot hold.

        Raises:
            TransientError: SYS.SPOOL
        """
        if self._keep_free:
            self._look(size_bytes)

    def take(self, size_bytes: int) -> None:
        """Take room for bytes that are written now.

        Raises:
            TransientError: SYS.SPOOL
        """
        if not self._keep_free:
            return
        with self._lock:
            if size_bytes > self._seen:
                self._seen = min(self._look(size_bytes), max(size_bytes, _LOOK_BYTES))
            self._seen -= size_bytes

    def _look(self, size_bytes: int) -> int:
        """Return what there is, which is as much as is wanted."""
        try:
            there = shutil.disk_usage(self._folder).free - self._keep_free
        except OSError as error:
            raise TransientError("SYS.SPOOL") from error
        if there < size_bytes:
            raise TransientError("SYS.SPOOL", "disk")
        return there
