"""Disks: small file systems in memory that a trial can fill to the last byte.

Only root may mount. What was mounted is unmounted in any case, also when
somebody still holds a file there.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BALLAST = "ballast"
_BLOCK_BYTES = 4096


def can_mount() -> bool:
    """Tell whether small disks can be made here."""
    return os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A folder with a disk of its own."""

    folder: Path

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(_BLOCK_BYTES)):
                pass

    def free(self) -> None:
        """Take the ballast away."""
        (self.folder / _BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk at a folder until the block ends.

    Raises:
        RuntimeError: It cannot be mounted.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "axis-trial", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a small disk cannot be mounted at {folder}: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that was killed a moment ago may still be letting go of its files.
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
