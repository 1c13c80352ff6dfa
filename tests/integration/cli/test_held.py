"""`axis held`: what a person decides about the mail of a closed office, with the key of the axis and the ledger alone."""

import asyncio
import json
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

from axis import app, clock, edxml, seal
from axis.seal import pki
from axis.settings import Settings
from tests.laboratory import axis

AXIS, SENDER, HEIR, CLOSED = "H56.TRUC", "H56.05", "H56.112", "H56.900"
_ROLL = Path(__file__).parents[3] / "config" / "offices.toml"


def _furnish(data: Path) -> None:
    """Make keys, and the roll of the sample with the mail of its closed office held."""
    trust, now = data / "trust", clock.now()
    pki.init(trust, name="CA tỉnh (ví dụ)", now=now)
    for code in (AXIS, SENDER):
        pki.issue(trust, code, name=f"{code} (ví dụ)", now=now)
    text = _ROLL.read_text(encoding="utf-8")
    assert text.count('after_closing = "reject"') == 1
    (trust / "offices.toml").write_text(text.replace('after_closing = "reject"', 'after_closing = "hold"'))


def _letter(number: int) -> edxml.Document:
    return edxml.Document(
        originator=edxml.Organization(SENDER),
        addressees=(edxml.Organization(CLOSED),),
        document_id=f"{SENDER},2026/08/25,{number}/SKHCN",
        code_number=str(number),
        code_notation="SKHCN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject="V/v rà soát (ví dụ)",
        signer_name="Nguyễn Văn A",
    )


async def _accept(data: Path, *numbers: int) -> None:
    async with app.open_rooms(Settings(data=data, organ_id=AXIS)) as rooms:
        key = seal.SigningKey.load(
            data / "trust" / "keys" / f"{SENDER}.key.pem", data / "trust" / "certs" / f"{SENDER}.pem"
        )
        for number in numbers:
            sealed = seal.seal(edxml.render(_letter(number)), key)
            await rooms.intake().accept(sealed, submitter=SENDER, via="http")


def _run(data: Path, *words: str, code: int = 0) -> Any:
    done = subprocess.run([*axis(*words), "--data", str(data), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_held_mail_is_listed_returned_and_forwarded_once(tmp_path: Path) -> None:
    _furnish(tmp_path)
    asyncio.run(_accept(tmp_path, 125, 126))
    rows = _run(tmp_path, "held", "list", "--office", CLOSED)
    assert [(row["addressee"], row["successors"]) for row in rows] == [(CLOSED, [HEIR, "H56.113"])] * 2
    back, on = (row["delivery_id"] for row in rows)

    outcomes = _run(tmp_path, "held", "return", str(back), str(back), "--reason", "gửi cho xã mới (ví dụ)", code=1)
    assert outcomes == [
        {"delivery_id": back, "done": True, "why": None},
        {"delivery_id": back, "done": False, "why": None},
    ]
    (no,) = _run(tmp_path, "held", "forward", str(on), "--to", SENDER, code=1)
    assert no["why"].startswith("DLV.NO_HEIR: Không nhận thay được")
    assert [one["done"] for one in _run(tmp_path, "held", "forward", str(on), "--to", HEIR)] == [True]

    (story,) = _run(tmp_path, "track", "126/SKHCN")
    stands = {one["addressee"]: (one["state"], one["in_place_of"]) for one in story["deliveries"]}
    assert stands == {CLOSED: ("forwarded", None), HEIR: ("queued", CLOSED)}
    assert [one["level"] for one in story["receipts"]] == ["accepted", "held", "forwarded"]
    report = _run(tmp_path, "audit", "--receipts")
    assert (report["held"], report["terminal"], report["waiting"], report["lost"]) == (0, 2, 1, 0)


def test_who_has_no_key_of_the_axis_decides_nothing(tmp_path: Path) -> None:
    _furnish(tmp_path)
    asyncio.run(_accept(tmp_path, 125))
    shutil.move(tmp_path / "trust" / "keys" / f"{AXIS}.key.pem", tmp_path / "away.pem")
    words = axis("held", "return", "1", "--reason", "x", "--data", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "CFG.INVALID" in done.stdout + done.stderr) == (2, True)
