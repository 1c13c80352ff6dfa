"""Steps: what each part of the axis's own trade takes for one document, beside the least that it could take.

In one process, one after the other, with nothing else running: the floor of a
step is what the libraries and the disk take for the same bytes - parsing,
canonical form, one signature or its check, a digest, a sync - and nothing of
ours. What a document costs beyond the sum of these is carrying: broker, HTTP,
threads, the event loop, statements of the ledger.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from statistics import median
from uuid import uuid4

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from axis import garbage, ids, receipts
from axis.deadlines import Deadlines
from axis.edxml import schemas
from axis.intake.custody import custody_of
from axis.intake.examine import examine
from axis.office.answers import Registered
from axis.office.prepare import File, of_document
from axis.office.speech import About, say
from axis.receipts.voice import Voice
from tests.house import AXIS, COMMUNE, LIFETIME, SENDER, House, house
from tests.province import AT

_TIMES = 200
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_FILE_BYTES = 100 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """One step: how often a document takes it, and milliseconds each time, the median of many."""

    times: int
    ours_ms: float
    floor_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """All of them."""

    repeated: int
    steps: dict[str, Step]


async def measure(folder: Path) -> Steps:
    """Take every step many times, in a process that is set up as ours are."""
    garbage.look_seldom()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    async with house(f"sqlite:///{folder / 'steps.sqlite'}", folder) as home:
        return Steps(repeated=_TIMES, steps={**_of_the_trade(home, folder), **await _of_the_disk(home, folder)})


def _of_the_trade(home: House, folder: Path) -> dict[str, Step]:
    trust, content = home.province.trust(), os.urandom(_FILE_BYTES)
    key, voice = home.province.signer(SENDER), Voice(COMMUNE, home.province.signer(COMMUNE))
    document = home.document()
    file = [File("125.pdf", content)]
    sealed = of_document(document, file, signer=key, folder=folder, today=AT.date()).sealed

    def judge() -> None:
        examine(sealed, submitter=SENDER, roll=home.roll, trust=trust, at=AT)

    examined = examine(sealed, submitter=SENDER, roll=home.roll, trust=trust, at=AT)

    def decide() -> None:
        custody_of(
            examined,
            envelope_id=ids.new(AT),
            voice=home.intake.voice,
            at=AT,
            lifetimes=(LIFETIME,) * 5,
            deadlines=Deadlines(),
            via="amqp",
            enclosed=(),
            roll=home.roll,
        )

    about = About(
        envelope_id=ids.new(AT),
        envelope_digest=examined.verified.digest,
        originator=SENDER,
        document_id=document.document_id,
    )

    def answer() -> list[receipts.SignedReceipt]:
        return list(say(Registered("125"), about, voice=voice, previous="0" * 64, attempt=1, at=AT))

    receipt = answer()[0].xml
    parts = list(examined.verified.parts.values())
    sign, check = _signature_ms(key.key)
    parsed, canonical, valid = _xml_ms(sealed, parts)
    parsed_receipt, canonical_receipt, valid_receipt = _xml_ms(receipt, [], schema="receipt-1")
    digest = _ms(lambda: sha256(content).digest())
    return {
        "document sealed, its file digested": Step(
            1,
            _ms(lambda: of_document(document, file, signer=key, folder=folder, today=AT.date())),
            digest + canonical + sign,
        ),
        "envelope parsed, verified, judged": Step(2, _ms(judge), parsed + canonical + valid + check),
        "custody decided, acceptance signed": Step(1, _ms(decide), sign),
        "two receipts signed": Step(1, _ms(answer), 2 * sign),
        "receipt read and verified": Step(
            5,
            _ms(lambda: receipts.read_receipt(receipt, trust, at=AT, axis=AXIS)),
            parsed_receipt + canonical_receipt + valid_receipt + check,
        ),
    }


def _signature_ms(key: object) -> tuple[float, float]:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    octets, public = os.urandom(600), key.public_key()
    value = key.sign(octets, _ALGORITHM)
    return _ms(lambda: key.sign(octets, _ALGORITHM)), _ms(lambda: public.verify(value, octets, _ALGORITHM))


def _xml_ms(message: bytes, parts: list[bytes], schema: str = "document-1") -> tuple[float, float, float]:
    """Return what libxml2 takes to parse a message, for its canonical parts, and to hold it against its schema."""
    root = etree.fromstring(message)
    part = root[0] if schema == "receipt-1" else root
    trees = [etree.fromstring(one) for one in parts] or [part]
    gatekeeper = schemas.gatekeeper(schema)
    return (
        _ms(lambda: etree.fromstring(message)),
        _ms(lambda: [etree.tostring(one, method="c14n", exclusive=True) for one in trees]),
        _ms(lambda: gatekeeper.validate(part)),
    )


async def _of_the_disk(home: House, folder: Path) -> dict[str, Step]:
    contents = [os.urandom(_FILE_BYTES) for _ in range(_TIMES)]
    named = iter([(sha256(one).hexdigest(), one) for one in contents])
    took = await _awaited_ms(lambda: home.spool.put(*next(named)))
    floor = _ms(lambda: _keep(folder / uuid4().hex, contents[0]))
    sealed = iter([home.seal(home.document()) for _ in range(_TIMES)])
    judged = await _awaited_ms(lambda: home.accept(next(sealed)))
    examined = home.seal(home.document())
    judging = _ms(
        lambda: examine(examined, submitter=SENDER, roll=home.roll, trust=home.province.trust(), at=AT), times=50
    )
    synced = _ms(lambda: _keep(folder / "commit", examined))
    begun = await _awaited_ms(lambda: home.ledger.begin_attempts(home.at, timedelta(minutes=5), 1))
    return {
        "file taken into the spool": Step(1, took, floor),
        "custody of a lone document, judged before": Step(1, max(0.0, judged - judging), synced),
        "attempt put on record": Step(1, begun, synced),
    }


def _keep(path: Path, content: bytes) -> None:
    """Digest, write and sync: the least that makes a file safe."""
    sha256(content).digest()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _ms(do: Callable[[], object], times: int = _TIMES) -> float:
    do()
    return round(median(_each(do) for _ in range(times)), 3)


def _each(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1000


async def _awaited_ms(do: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        await do()
        took.append((time.perf_counter() - began) * 1000)
    return round(median(took), 3)
