"""The spool's disk is filled, and files in it vanish, lose their ends and change."""

import asyncio
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

from tests.fault.trial import ADDRESSEES, Trial

_SIZE_BYTES = 8 * 1024 * 1024  # Of each small disk.
_ASKED_S = 20.0  # In which an addressee asks for a file several times.
_LEFT = 9

SMALL = {"spool": _SIZE_BYTES, "staging": _SIZE_BYTES}
NOTHING_KEPT_FREE = {"AXIS_LIMITS__KEEP_FREE_BYTES": "0"}  # Or the axis would take no file long before the last byte.


async def fill_disk(trial: Trial, draw: random.Random) -> None:
    """No byte is left where files are, or where they grow."""
    trial.done["disks filled"] += 1
    disk = trial.disks[draw.choice(sorted(SMALL))]
    disk.fill()
    try:
        await asyncio.sleep(draw.uniform(3, 8))
    finally:
        disk.free()


async def harm_files(trial: Trial, draw: random.Random) -> None:
    """Files of documents that their addressees have not fetched are damaged; later they are put back.

    Meanwhile the audit names each of them, and no addressee takes a document without it.
    """
    for code in ADDRESSEES:
        trial.signal(code, signal.SIGSTOP)
    try:
        before = len(files_of(trial))
        await trial.until_true(lambda: len(files_of(trial)) >= before + 3 * len(_HARMS))
        await asyncio.sleep(2)  # Until what they belong to has been accepted.
        registered = set().union(*trial.books.registered())
        newest = sorted(files_of(trial), key=lambda file: file.stat().st_mtime_ns)[-_LEFT:]
        kept = {file: file.read_bytes() for file in draw.sample(newest, 2 * len(_HARMS))}
        for number, file in enumerate(kept):
            trial.done["files harmed"] += 1
            _HARMS[number % len(_HARMS)](file)
        findings = (await trial.audit("--spool"))["findings"]
        assert {file.name for file in kept} == {_named(one["text"]) for one in findings}
        assert {one["rule"] for one in findings} == {"I8"}
        spoiled = {one["envelope_id"] for one in findings} - registered
    finally:
        for code in ADDRESSEES:
            trial.signal(code, signal.SIGCONT)
    await asyncio.sleep(_ASKED_S)
    taken = set().union(*trial.books.registered())
    for file, content in kept.items():
        file.write_bytes(content)
    assert not taken & spoiled


def files_of(trial: Trial) -> list[Path]:
    """Return every attachment of a trial that has its place in the spool."""
    return [file for file in (trial.data / "spool").rglob("*") if len(file.name) == 64 and file.is_file()]


def _named(text: str) -> str:
    found = re.match(r"file ([0-9a-f]{64}) ", text)
    assert found, text
    return found[1]


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def _alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


_HARMS: tuple[Callable[[Path], None], ...] = (Path.unlink, _truncate, _alter)
