"""Disks: what a damaged one does, to one file."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """Let nobody read a file of the spool, as where a sector under it is bad; all others can be read."""
    bad, read = file.stat().st_ino, os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, size, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", pread)
        yield
