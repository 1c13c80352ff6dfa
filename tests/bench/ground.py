"""Ground: a part of the disk for each stand from which nothing was removed lately.

ext4 without a journal gives nobody an inode that was free for less than some
minutes, and looks for another beside it: where an earlier run has removed
thousands of files, each new one takes half a millisecond in the place of a
fiftieth. A folder that is marked as the top of its tree (`chattr +T`) begins each
folder below it in another part of the disk. Of some, the one is taken in which
files are made quickest; elsewhere than on ext4 they are all alike.

Source: ext4(5); ioctl_iflags(2), `FS_TOPDIR_FL`.
"""

import contextlib
import fcntl
import os
import struct
import time
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _TOP = 0x8008_6601, 0x4008_6602, 0x0002_0000
_PLACES, _FILES = 12, 25


def quick(folder: Path) -> Path:
    """Return a new folder below one that is made for it."""
    folder.mkdir(parents=True)
    _spread(folder)
    places = [folder / str(number) for number in range(_PLACES)]
    for place in places:
        place.mkdir()
    return min(places, key=_seconds)


def _spread(folder: Path) -> None:
    """Let the folders below lie far from each other, where the file system has such a thing."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            (flags,) = struct.unpack("l", fcntl.ioctl(opened, _GET_FLAGS, struct.pack("l", 0)))
            fcntl.ioctl(opened, _SET_FLAGS, struct.pack("l", flags | _TOP))
    finally:
        os.close(opened)


def _seconds(place: Path) -> float:
    """Return how long it takes to make some files there."""
    began = time.perf_counter()
    for number in range(_FILES):
        (place / f"probe-{number}").touch()
    return time.perf_counter() - began
