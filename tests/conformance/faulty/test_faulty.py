"""Faulty envelopes: each is refused with exactly the violations that are written beside it, over every way alike.

Beside each `NN-name.xml` stands `NN-name.toml`: what is wrong with it, whose key
seals it (""; nobody's), and the list. The axis is a real one, with its broker; the
clerk's `axis lint`, the answer over HTTP, its signed rejection and the signed
rejection over AMQP must say the same eight fields, line and words included.
"""

import asyncio
import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from axis import receipts, seal
from axis.broker import PrivateNode
from axis.cli.main import root
from axis.errors import CATALOGUE
from axis.flow.script import Cast, Flow
from axis.flow.stage import Stage, admit, staged

pytestmark = pytest.mark.xdist_group("faulty")  # Its axis is started once.

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.xml"))
AT = datetime(2026, 9, 1, 2, 30, tzinfo=UTC)
SENDER = "H56.05"
OFFICES = (
    Cast(code=SENDER, name="Sở Khoa học và Công nghệ (ví dụ)"),
    Cast(code="H56.112", name="UBND phường Hàm Rồng (ví dụ)", tier="commune"),
    Cast(code="H56.113", name="UBND xã mẫu (ví dụ)", tier="commune"),
    Cast.model_validate(
        {"code": "H56.900", "name": "UBND huyện đã giải thể (ví dụ)", "tier": "district", "connected": False, "status": "closed", "closed_on": "2025-07-01", "successors": ["H56.112"]}
    ),
)  # fmt: skip
SAID = ("code", "line", "path", "rule", "vi", "en")  # What is written down; who must act and what is next follow.

Violations = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """What was said to one envelope, by each way."""

    lint: Violations
    http: Violations
    http_receipt: Violations
    amqp_receipt: Violations | None  # None: such a thing does not travel over AMQP.


def _expected(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def said(rabbitmq: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Said]]:
    """Everything is handed in once, to one axis."""
    with capture_logs():
        yield asyncio.run(_hand_in(rabbitmq, tmp_path_factory.mktemp("faulty")))


async def _hand_in(node: PrivateNode, folder: Path) -> dict[str, Said]:
    flow = Flow(
        file=FOLDER,
        title_vi="Gói tin lỗi",
        title_en="Faulty envelopes",
        about=(),
        starts_at=AT,
        settings={},
        offices=OFFICES,
        groups=(),
        rules=(),
        steps=(),
    )
    accounts = await admit([flow], node, folder)
    async with staged(flow, accounts, folder / "stage") as stage:
        return {name: await _said(stage, name) for name in NAMES}


async def _said(stage: Stage, name: str) -> Said:
    expected = _expected(name)
    envelope = (FOLDER / f"{name}.xml").read_bytes()
    if expected["seal"]:
        trust = stage.trust_folder
        by = expected["seal"]
        envelope = seal.seal(
            envelope, seal.SigningKey.load(trust / "keys" / f"{by}.key.pem", trust / "certs" / f"{by}.pem")
        )
    if "swap" in expected:
        old, new = (text.encode() for text in expected["swap"])
        assert old in envelope
        envelope = envelope.replace(old, new, 1)
    office = expected.get("from", SENDER)
    amqp = None
    if "amqp" in expected.get("ways", ("amqp", "http")):
        before = len(stage.clerk(office).heard)
        await stage.publish(office, envelope)
        async with asyncio.timeout(20):
            while len(stage.clerk(office).heard) == before:  # noqa: ASYNC110 - It rings no bell.
                await asyncio.sleep(0.02)
        amqp = _rejection(stage.clerk(office).heard[-1].signed)
    url = f"{stage.gateway_url}/v1/envelopes"
    async with stage.http.post(url, data=envelope, headers=stage.headers(office)) as answer:
        problem = await answer.json(content_type=None)
        assert answer.status == CATALOGUE[problem["code"]].http
    assert problem["receipt"] is not None, f"{name} is refused over HTTP without a signed rejection"
    return Said(
        lint=await asyncio.to_thread(_lint, stage, envelope),
        http=problem["violations"],
        http_receipt=_rejection(stage.read(problem["receipt"].encode())),
        amqp_receipt=amqp,
    )


def _lint(stage: Stage, envelope: bytes) -> Violations:
    file = stage.folder / "letter.edxml"
    file.write_bytes(envelope)
    answer = CliRunner().invoke(root("lint"), ["lint", str(file), "--trust", str(stage.trust_folder), "--json"])
    found: Violations = json.loads(answer.stdout)["violations"]
    assert answer.exit_code == (1 if found else 0)
    return found


def _rejection(signed: receipts.SignedReceipt) -> Violations:
    said = signed.receipt
    assert (said.level, said.addressee, said.envelope_id) == ("rejected", None, "")
    assert (said.code, said.reason) == (said.violations[0].code, said.violations[0].vi)
    return [asdict(one) for one in said.violations]


def test_there_are_thirty() -> None:
    assert len(NAMES) >= 30
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(NAMES)
    assert len({_expected(name)["what_en"] for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_refusal_is_what_is_written_beside_it(name: str, said: dict[str, Said]) -> None:
    written = [{"line": None, **one} for one in _expected(name)["violations"]]
    assert [{field: one[field] for field in SAID} for one in said[name].lint] == [
        {field: one[field] for field in SAID} for one in written
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_way_says_the_same(name: str, said: dict[str, Said]) -> None:
    every = said[name]
    assert every.http == every.lint
    assert every.http_receipt == every.lint
    if every.amqp_receipt is not None:
        assert every.amqp_receipt == every.lint


@pytest.mark.parametrize("name", NAMES)
def test_every_violation_has_its_place_where_it_has_one(name: str, said: dict[str, Said]) -> None:
    for one in said[name].lint:
        assert one["line"] is not None or not one["path"], one
