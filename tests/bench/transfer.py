"""Transfer: one file by the office's own client, in a process of its own, and what that process needed.

    python -m tests.bench.transfer ORDER RESULT

The order says which way, which file and for whom. Nothing is cleared up: who
ordered it looks at the file.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import uvloop

from axis import clock
from axis.edxml import AttachmentRef
from axis.office.document import Attachment
from axis.office.gateway import GatewayClient
from axis.seal import SigningKey
from tests.bench.meters import MIB, forget_peak, memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What is to be carried."""

    up: bool
    file: str  # To be read, or to be written.
    sha256: str
    size_bytes: int
    office: str
    trust: str
    gateway_url: str
    before: int  # Files that are carried first, and are not counted: in an office everything has been done before.


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What it took."""

    seconds: float
    peak_bytes: int  # By how much the process grew at most.


async def _carry(transfer: Transfer) -> Carried:
    trust = Path(transfer.trust)
    key = SigningKey.load(trust / "keys" / f"{transfer.office}.key.pem", trust / "certs" / f"{transfer.office}.pem")
    async with GatewayClient.connect(transfer.gateway_url, office=transfer.office, key=key, now=clock.now) as client:
        for _ in range(transfer.before):
            await _carry_little(client)
        forget_peak(os.getpid())
        held, began = memory_bytes(os.getpid(), "VmRSS"), time.perf_counter()
        if transfer.up:
            await client.upload(Path(transfer.file), transfer.sha256, transfer.size_bytes)
        else:
            ref = AttachmentRef("a1", "file", "application/octet-stream", transfer.sha256, transfer.size_bytes)
            await Attachment(ref, client).save(Path(transfer.file))
        seconds = time.perf_counter() - began
        return Carried(seconds=seconds, peak_bytes=max(0, memory_bytes(os.getpid(), "VmHWM") - held))


async def _carry_little(client: GatewayClient) -> None:
    """Bring and fetch a file of 1 MiB."""
    content = os.urandom(MIB)
    digest = sha256(content).hexdigest()
    with tempfile.TemporaryDirectory(dir=Path("var")) as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        source.write_bytes(content)
        await client.upload(source, digest, MIB)
        await Attachment(AttachmentRef("a0", "file", "application/octet-stream", digest, MIB), client).save(target)


def put(transfer: Transfer, order: Path) -> None:
    """Write an order down."""
    order.write_text(json.dumps(asdict(transfer)), encoding="utf-8")


def result(path: Path) -> Carried:
    """Return what a process said."""
    return Carried(**json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    order, said = map(Path, sys.argv[1:])
    carried = uvloop.run(_carry(Transfer(**json.loads(order.read_text(encoding="utf-8")))))
    said.write_text(json.dumps(asdict(carried)), encoding="utf-8")
