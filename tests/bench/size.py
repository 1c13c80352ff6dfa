"""Size: large files up to the gateway and down again, one and several, and after a cut.

The yardstick is SHA-256 and a copy of the same file on the same disk. The
goals: within 3 times of that each way, and no process that grows by 128 MiB,
however large the file is.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from tests.bench import transfer
from tests.bench.line import Line, line
from tests.bench.meters import MIB, command, forget_peak, memory_bytes
from tests.bench.order import Order
from tests.bench.stand import ADDRESSEE, ORIGINATOR, Stand
from tests.bench.transfer import Carried, Transfer
from tests.laboratory import Running

USUAL_MIB, LARGEST_MIB = (1, 64, 512), 2048
GOAL_TIMES, GOAL_MIB = 3.0, 128.0
SEVERAL, _EACH_MIB = 4, 256
_CUT_MIB = 256
_ROUNDS = {1: 9, 64: 3}  # How often a size is measured; the median counts, and the highest peak.
_WITHIN_S = 600.0
_BEFORE = 4  # Files that a client carries before it is measured.


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One file."""

    mib: int
    copy_s: float  # SHA-256 and a copy on the same disk.
    upload_s: float
    download_s: float
    document_s: float  # As a document between two offices, from handing in until *registered* is heard.
    peaks_mib: dict[str, float]  # By how much each process grew at most.


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Several files at once, of two offices."""

    files: int
    mib: int  # Of each.
    copy_s: float  # Of all, one after the other.
    upload_s: float  # Until the last was there.
    download_s: float
    peaks_mib: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A file whose carrying ended half-way, and began again."""

    mib: int
    again_mib: dict[str, float]  # What passed the line beyond one whole file, by what happened.


async def size(stand: Stand, mib: int) -> Size:
    """Carry a file both ways by an office's client, and as a document between two offices; a small one several times."""
    rounds = [await _round(stand, mib, number) for number in range(_ROUNDS.get(mib, 1))]
    return Size(
        mib=mib,
        copy_s=_median(rounds, lambda one: one.copy_s),
        upload_s=_median(rounds, lambda one: one.upload_s),
        download_s=_median(rounds, lambda one: one.download_s),
        document_s=_median(rounds, lambda one: one.document_s),
        peaks_mib={name: max(one.peaks_mib[name] for one in rounds) for name in rounds[0].peaks_mib},
    )


def _median(rounds: list[Size], figure: Callable[[Size], float]) -> float:
    return round(median(map(figure, rounds)), 4)


async def _round(stand: Stand, mib: int, number: int) -> Size:
    source, target = stand.folder / "large", stand.folder / "large.copy"
    digest = await asyncio.to_thread(_fill, source, mib)
    peaks = {}
    try:
        copies = [await asyncio.to_thread(_copy, source, target)]
        target.unlink()
        up, peaks["gateway, up"] = await _one(stand, True, source, digest, mib)
        down, peaks["gateway, down"] = await _one(stand, False, target, digest, mib)
        copies.append(await asyncio.to_thread(_copy, source, target))
        target.unlink()
        await asyncio.to_thread(_make_another, source)  # The gateway would know it, and take no byte of it.
        document_s, of_document = await _as_document(stand, source, mib, number)
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
    peaks |= {"client, up": up.peak_bytes, "client, down": down.peak_bytes, **of_document}
    return Size(
        mib=mib,
        copy_s=sum(copies) / len(copies),
        upload_s=up.seconds,
        download_s=down.seconds,
        document_s=document_s,
        peaks_mib=_in_mib(peaks),
    )


async def _one(stand: Stand, up: bool, file: Path, digest: str, mib: int) -> tuple[Carried, int]:
    """Carry a file; return what its process said, and by how much the gateway grew."""
    held = _forget(stand, ("axis",))
    (carried,) = await _carry(stand, [_transfer(stand, ORIGINATOR, up, file, digest, mib)])
    return carried, _grown(stand, held)["axis"]


async def _as_document(stand: Stand, source: Path, mib: int, number: int) -> tuple[float, dict[str, int]]:
    names = {"axis": "gateway", ORIGINATOR: "originator", ADDRESSEE: "addressee"}
    held = _forget(stand, names)
    order = Order(
        name=f"size-{mib}-{number}",
        addressees=(ADDRESSEE,),
        documents=1,
        file_bytes=mib * MIB,
        per_s=None,
        file=str(source),
    )
    seen = await stand.carry(order, within_s=_WITHIN_S)
    (one,) = seen.values()
    return one.ended - one.due, {f"{names[name]}, document": grown for name, grown in _grown(stand, held).items()}


async def several(stand: Stand) -> Several:
    """Let two offices bring files at the same time, and fetch them at the same time."""
    files = [stand.folder / f"large-{number}" for number in range(SEVERAL)]
    copies = [file.with_suffix(".copy") for file in files]
    try:
        digests = [await asyncio.to_thread(_fill, file, _EACH_MIB) for file in files]
        copy_s = 0.0
        for file, copy in zip(files, copies, strict=True):
            copy_s += await asyncio.to_thread(_copy, file, copy)
            copy.unlink()
        up, grown_up = await _all(stand, True, files, digests)
        down, grown_down = await _all(stand, False, copies, digests)
    finally:
        for file in (*files, *copies):
            file.unlink(missing_ok=True)
    return Several(
        files=SEVERAL,
        mib=_EACH_MIB,
        copy_s=round(copy_s, 2),
        upload_s=round(max(one.seconds for one in up), 2),
        download_s=round(max(one.seconds for one in down), 2),
        peaks_mib=_in_mib(
            {
                "gateway, up": grown_up,
                "gateway, down": grown_down,
                "client, up": max(one.peak_bytes for one in up),
                "client, down": max(one.peak_bytes for one in down),
            }
        ),
    )


async def _all(stand: Stand, up: bool, files: list[Path], digests: list[str]) -> tuple[list[Carried], int]:
    """Carry files at once, each second one of another office; return what was said, and how the gateway grew."""
    held = _forget(stand, ("axis",))
    carried = await _carry(
        stand,
        [
            _transfer(stand, (ORIGINATOR, ADDRESSEE)[number % 2], up, file, digest, _EACH_MIB)
            for number, (file, digest) in enumerate(zip(files, digests, strict=True))
        ],
    )
    return carried, _grown(stand, held)["axis"]


# --- after a cut --------------------------------------------------------------------------


async def cut(stand: Stand) -> Cut:
    """Break the line half-way, or kill the client half-way; count what passes a second time."""
    file, target = stand.folder / "large", stand.folder / "large.copy"
    again = {}
    try:
        for what, killed in (("line cut", False), ("client killed", True)):
            digest = await asyncio.to_thread(_fill, file, _CUT_MIB)
            for way, up, place in (("up", True, file), ("down", False, target)):
                async with line(stand.gateway_url) as between:
                    wanted = _transfer(stand, ORIGINATOR, up, place, digest, _CUT_MIB, between.url)
                    await (_killed if killed else _cut)(stand, wanted, between)
                again[f"{way}, {what}"] = round(between.passed / MIB - _CUT_MIB, 1)
            target.unlink()
    finally:
        file.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
    return Cut(mib=_CUT_MIB, again_mib=again)


async def _cut(stand: Stand, wanted: Transfer, between: Line) -> None:
    """Break the line once; the client goes on by itself."""
    between.cut_after = wanted.size_bytes // 2
    await _carry(stand, [wanted])
    if not between.was_cut:
        raise RuntimeError("size: the line was not cut")


async def _killed(stand: Stand, wanted: Transfer, between: Line) -> None:
    """Kill the client; another one goes on."""
    running = await _start(stand, "transfer killed", wanted)
    async with asyncio.timeout(_WITHIN_S):
        await between.until(wanted.size_bytes // 2)
    if running.process.returncode is not None:
        raise RuntimeError("size: the client was not killed half-way")
    await stand.laboratory.kill("transfer killed")
    await _carry(stand, [wanted])


# --- carrying -------------------------------------------------------------------------------


def _transfer(
    stand: Stand, office: str, up: bool, file: Path, digest: str, mib: int, gateway_url: str = ""
) -> Transfer:
    return Transfer(
        up=up,
        file=str(file),
        sha256=digest,
        size_bytes=mib * MIB,
        office=office,
        trust=str(stand.data / "trust"),
        gateway_url=gateway_url or stand.gateway_url,
        before=0 if gateway_url else _BEFORE,  # Over a line whose bytes are counted, the file goes alone.
    )


async def _carry(stand: Stand, wanted: list[Transfer]) -> list[Carried]:
    """Carry files at once, each by a process of its own; return what they said."""
    names = [f"transfer {number}" for number in range(len(wanted))]
    running = [await _start(stand, name, one) for name, one in zip(names, wanted, strict=True)]
    async with asyncio.timeout(_WITHIN_S):
        for one in running:
            await one.process.wait()
    for name in names:
        if await stand.laboratory.stop(name) != 0:
            raise RuntimeError(f"{name} failed; see {stand.folder / 'logs'}")
    return [transfer.result(_place(stand, name, "result")) for name in names]


async def _start(stand: Stand, name: str, wanted: Transfer) -> Running:
    order, result = _place(stand, name, "order"), _place(stand, name, "result")
    result.unlink(missing_ok=True)
    transfer.put(wanted, order)
    return await stand.laboratory.start(name, *command("tests.bench.transfer", str(order), str(result)))


def _place(stand: Stand, name: str, what: str) -> Path:
    return stand.folder / f"{name.replace(' ', '-')}.{what}"


# --- meters ---------------------------------------------------------------------------------


def _forget(stand: Stand, names: Iterable[str]) -> dict[str, int]:
    """Begin to look at the memory of processes; return what each holds now."""
    held = {}
    for name in names:
        pid = stand.laboratory.running[name].process.pid
        forget_peak(pid)
        held[name] = memory_bytes(pid, "VmRSS")
    return held


def _grown(stand: Stand, held: dict[str, int]) -> dict[str, int]:
    """Return by how much each process has grown at most since then."""
    return {
        name: max(0, memory_bytes(stand.laboratory.running[name].process.pid, "VmHWM") - was)
        for name, was in held.items()
    }


def _in_mib(peaks: dict[str, int]) -> dict[str, float]:
    return {name: round(grown / MIB, 1) for name, grown in peaks.items()}


def _fill(file: Path, mib: int) -> str:
    """Write random bytes; return their digest."""
    digest = sha256()
    with file.open("wb") as out:
        for _ in range(mib):
            chunk = os.urandom(MIB)
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _make_another(file: Path) -> None:
    """Give a file another beginning, and so another digest."""
    with file.open("r+b") as out:
        out.write(os.urandom(64))
        out.flush()
        os.fsync(out.fileno())


def _copy(source: Path, target: Path) -> float:
    """Copy a file to the disk, digesting it on the way; return how long that took."""
    target.unlink(missing_ok=True)
    began, digest = time.perf_counter(), sha256()
    with source.open("rb") as file, target.open("wb") as out:
        while chunk := file.read(MIB):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return time.perf_counter() - began
