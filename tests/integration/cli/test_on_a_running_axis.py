"""The commands on an axis that runs, in the order in which one meets them, with the adapter of docs/adapters.md as an office."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from axis import clock, edxml
from axis.edxml.values import local_date
from tests.fault.trial import Trial
from tests.laboratory import axis
from tests.pages import axis_with
from tests.unit.test_adapters_page import PAGE

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.

SENDER, PAGES, CHOKING = "H56.05", "H56.112", "H56.113"
_DEAD = """
from axis import Document, Office, Permanent, Registered
from pathlib import Path

office = Office.from_env()

@office.on_document
async def receive(doc: Document) -> Registered:
    if not Path("mended").exists():
        raise Permanent("cột quá ngắn (ví dụ)")
    return Registered("9")

office.run()
"""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Trial]:
    async with axis_with({}, tmp_path) as trial:
        yield trial


async def _json(running: Trial, *words: str, code: int = 0) -> Any:
    """Return what a command prints for programs."""
    found, out = await running.command(*axis(*words, "--json"))
    assert found == code, out
    return json.loads(out)


def _write(folder: Path, number: int, **fields: Any) -> Path:
    """Write an edXML message that is not sealed, with one file in its manifest."""
    today = local_date(clock.now())
    good: dict[str, Any] = {
        "originator": edxml.Organization(SENDER),
        "addressees": (edxml.Organization(PAGES), edxml.Organization(CHOKING)),
        "document_id": f"{SENDER},{today:%Y/%m/%d},{number}/SKHCN",
        "code_number": str(number),
        "code_notation": "SKHCN",
        "place": "Thanh Hóa",
        "promulgated_on": today,
        "subject": "V/v rà soát (ví dụ)",
        "signer_name": "Nguyễn Văn A",
        "attachments": (edxml.AttachmentRef("a1", "125.pdf", "application/pdf", "", 0),),
    }
    file = folder / f"{number}.edxml"
    text = edxml.render(edxml.Document(**{**good, **fields})).decode()
    # The digest is filled in by who seals it.
    file.write_text(re.sub(r' axp:(sha256|bytes)="[^"]*"', "", text), encoding="utf-8")
    return file


async def _start(running: Trial, code: str, program: str) -> None:
    """Run a program as an office, in a folder of its own."""
    place, trust = running.place(code), running.data / "trust"
    place.mkdir()
    (place / "office.py").write_text(program, encoding="utf-8")
    await running.laboratory.start(
        code,
        "sh",
        "-c",
        f"cd {place} && exec {sys.executable} office.py",
        more={
            "AXIS_OFFICE": code,
            "AXIS_OFFICE_KEY": str(trust / "keys" / f"{code}.key.pem"),
            "AXIS_OFFICE_CERTIFICATE": str(trust / "certs" / f"{code}.pem"),
            "AXIS_OFFICE_TRUST": str(trust),
            "AXIS_OFFICE_STATE": str(place / "state"),
            "AXIS_OFFICE_BROKER_PASSWORD_FILE": str(running.data / "secrets" / code),
            "AXIS_BROKER_URL": f"amqp://{(running.data / 'broker.address').read_text()}/",
            "AXIS_GATEWAY_URL": (running.data / "gateway.address").read_text(),
        },
    )


async def _until(running: Trial, document: str, states: dict[str, str]) -> dict[str, Any]:
    """Wait until the deliveries of a document stand as they ought to; return its story."""
    story: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while {one["addressee"]: one["state"] for one in story.get("deliveries", ())} != states:
            (story,) = await _json(running, "track", document)
            await asyncio.sleep(0.2)
    return story


@pytest.mark.timeout(600)
async def test_document_is_sent_tracked_replayed_and_audited(running: Trial, tmp_path: Path) -> None:
    trust = str(running.data / "trust")
    checks = {one["name"]: one["state"] for one in await _json(running, "doctor")}
    assert checks.pop("calendar") == "odd"  # None is given.
    assert set(checks.values()) == {"good"}, checks
    assert {"disk", "trust", "roll", "ledger", "spool", "broker", "gateway", "key of the axis"} <= set(checks)

    # Another one on the same data is told so.
    assert (await running.command(*axis("up")))[0] == 2

    # Sent, sent again, and tracked.
    letter, paper = _write(tmp_path, 125), tmp_path / "125.pdf"
    paper.write_bytes(b"%PDF-1.7" + os.urandom(100_000))
    send = ("send", str(letter), "--as", SENDER, "--attach", str(paper))
    first = await _json(running, *send, "--receipt", str(tmp_path / "receipt.xml"))
    again = await _json(running, *send)
    assert (first["accepted"], first["duplicate"], again["duplicate"]) == (True, False, True)
    assert again["receipt"] == first["receipt"]
    said = await _json(running, "seal", "verify", str(tmp_path / "receipt.xml"), "--trust", trust)
    assert (said["holds"], said["level"], said["envelope_id"]) == (True, "accepted", first["envelope_id"])
    (story,) = await _json(running, "track", first["envelope_id"][:8])
    assert {one["addressee"] for one in story["deliveries"]} == {PAGES, CHOKING}

    # An answer that cannot be kept was given all the same: it is shown, and told apart from a no.
    unkept = await _json(running, *send, "--receipt", "/dev/full", code=4)
    assert (unkept["accepted"], unkept["envelope_id"]) == (True, first["envelope_id"])

    # Other content under the same id, and a file that is not sealed as it was listed.
    other = _write(tmp_path, 125, subject="V/v khác")
    refused = await _json(running, "send", str(other), "--as", SENDER, "--attach", str(paper), code=1)
    assert [one["code"] for one in refused["violations"]] == ["MSG.CONFLICT"]

    # The adapter of the page takes it; the other office's system chokes on it.
    program = re.search(r"<!-- run: our_office.py -->\n```python\n(.*?)^```", PAGE, re.M | re.S)
    assert program
    await _start(running, PAGES, program[1])
    await _start(running, CHOKING, _DEAD)
    story = await _until(running, "125/SKHCN", {PAGES: "delivered", CHOKING: "dead"})
    business = {one["addressee"]: one["business"] for one in story["deliveries"]}
    assert business[PAGES] == "03"
    assert any(file.read_bytes() == paper.read_bytes() for file in running.place(PAGES).iterdir() if file.is_file())

    # The dead letter is shown, its cause is mended, and it is replayed once.
    (dead,) = await _json(running, "deadletters", "list")
    assert (dead["addressee"], dead["code"]) == (CHOKING, "DLV.FAILED")
    assert "cột quá ngắn" in dead["reason"]
    number = str(dead["delivery_id"])
    grave = await _json(running, "deadletters", "show", number)
    assert "receipt.failed" in [one["event"] for one in grave["events"]]
    (running.place(CHOKING) / "mended").touch()
    replay = ("deadletters", "replay", number, "--reason", "đã sửa cột")
    assert await _json(running, *replay) == [{"delivery_id": int(number), "replayed": True}]
    await _until(running, "125/SKHCN", {PAGES: "delivered", CHOKING: "delivered"})
    assert await _json(running, *replay, code=1) == [{"delivery_id": int(number), "replayed": False}]
    assert await _json(running, "deadletters", "list") == []

    # The books are in order, also when everything is looked at.
    report = await _json(running, "audit")
    assert (report["documents"], report["terminal"], report["rejections"], report["lost"]) == (1, 2, 1, 0)
    log = tmp_path / "effects"
    log.write_text(f"{first['envelope_id']}\n")
    everything = ("audit", "--receipts", "--spool", "--broker", "--effects", f"{PAGES}={log}")
    report = await _json(running, *everything)
    looked_at = {"histories": 2, f"effects of {PAGES}": 1, "envelopes": 1, "receipts": report["receipts"], "files": 1}
    assert report["findings"] == []
    assert {name: report["checked"][name] for name in looked_at} == looked_at
    assert report["queues"]["axis.dead"] == 0

    # A file that was altered is named, and found in order once it is put back.
    (file,) = [one for one in (running.data / "spool").rglob("*") if one.is_file()]
    kept = file.read_bytes()
    file.write_bytes(kept[::-1])
    (found,) = (await _json(running, *everything, code=1))["findings"]
    assert (found["rule"], found["envelope_id"]) == ("I8", first["envelope_id"])
    assert file.name in found["text"]
    file.write_bytes(kept)
    assert (await running.command(*axis(*everything)))[0] == 0
    assert (await running.command(*axis("audit", "--effects", "nonsense")))[0] == 2

    # Who watches sees what happened.
    async with httpx.AsyncClient(base_url=(running.data / "gateway.address").read_text()) as http:
        shown = (await http.get("/metrics")).text + (await http.get(f"{running.router_address()}/metrics")).text
        for place in ("", running.router_address()):
            assert (await http.get(f"{place}/readyz")).json() == {"ledger": "ok", "spool": "ok", "broker": "ok"}
    for series in (
        'axis_envelopes_accepted_total{via="http"} 1.0',
        'axis_envelopes_duplicate_total{via="http"} 2.0',
        'axis_envelopes_rejected_total{code="MSG.CONFLICT"} 1.0',
        'axis_attempts_total{result="failed"} 1.0',
        'axis_attempts_total{result="registered"} 2.0',
        "axis_delivery_seconds_count 2.0",
        f'axis_certificate_days_left{{office="{SENDER}"}} 69',  # Of 730: those of a trial are a month old.
    ):
        assert series in shown, series

    # A roll with one office more is taken over while the axis runs.
    roll = running.data / "trust" / "offices.toml"
    more = roll.read_text(encoding="utf-8").replace(
        "[[rules]]", '[[offices]]\ncode = "H56.777"\nname = "Xã mới (ví dụ)"\ntier = "commune"\n\n[[rules]]', 1
    )
    roll.write_text(more, encoding="utf-8")
    assert (await _json(running, "offices", "load", str(roll)))["loaded"]
    assert "H56.777" in [one["code"] for one in await _json(running, "offices", "list")]
    routes = await _json(running, "route", "explain", str(_write(tmp_path, 7, attachments=())), "--offices", str(roll))
    assert {one["office"]: one["served"] for one in routes["routes"]} == {PAGES: True, CHOKING: True}
