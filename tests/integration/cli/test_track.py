"""`axis track`: an operator sees what was said of a document, and what brought it back on its way."""

import asyncio
import json
import subprocess
from datetime import date, timedelta
from pathlib import Path

from axis import app, clock, edxml, seal
from axis.seal import pki
from axis.settings import Dispatch, Settings
from tests.laboratory import axis

AXIS, SENDER, ADDRESSEE = "H56.TRUC", "H56.05", "H56.112"
_ROLL = Path(__file__).parents[3] / "config" / "offices.toml"


async def _send_again_after_it_expired(data: Path) -> None:
    trust, now = data / "trust", clock.now()
    pki.init(trust, name="CA tỉnh (ví dụ)", now=now)
    for code in (AXIS, SENDER):
        pki.issue(trust, code, name=f"{code} (ví dụ)", now=now)
    (trust / "offices.toml").write_bytes(_ROLL.read_bytes())
    letter = edxml.Document(
        originator=edxml.Organization(SENDER),
        addressees=(edxml.Organization(ADDRESSEE),),
        document_id=f"{SENDER},2026/08/25,125/SKHCN",
        code_number="125",
        code_notation="SKHCN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject="V/v rà soát (ví dụ)",
        signer_name="Nguyễn Văn A",
    )
    key = seal.SigningKey.load(trust / "keys" / f"{SENDER}.key.pem", trust / "certs" / f"{SENDER}.pem")
    instant = timedelta(microseconds=1)
    settings = Settings(data=data, organ_id=AXIS, dispatch=Dispatch(lifetimes=(instant,) * 5))
    async with app.open_rooms(settings) as rooms:
        intake = rooms.intake()
        for _ in range(2):
            answer = await intake.accept(seal.seal(edxml.render(letter), key), submitter=SENDER, via="http")
            row = await rooms.ledger.delivery(answer.envelope_id, ADDRESSEE)
            assert row is not None
            if not answer.duplicate:
                await rooms.answers().expire(row, clock.now() + instant)


def test_that_it_began_anew_stands_between_the_receipts(tmp_path: Path) -> None:
    asyncio.run(_send_again_after_it_expired(tmp_path))
    words = [*axis("track", "125/SKHCN"), "--data", str(tmp_path)]
    shown = subprocess.run([*words, "--json"], capture_output=True, text=True, check=True)
    (story,) = json.loads(shown.stdout)
    assert [one["state"] for one in story["deliveries"]] == ["queued"]
    assert [one["level"] for one in story["receipts"]] == ["accepted", "expired"]
    assert [(one["event"], one["addressee"]) for one in story["moves"]] == [("delivery.begun_anew", ADDRESSEE)]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    places = [next(n for n, line in enumerate(lines) if word in line) for word in ("accepted", "expired", "begun anew")]
    assert places == sorted(places)
