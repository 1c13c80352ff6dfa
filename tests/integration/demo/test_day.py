"""The demonstration itself, with a smaller large file: every document ends as it ought to, and is proved."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.demo.__main__ import main

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.

_LAST = re.compile(
    r"demo: (\d+) documents, (\d+) deliveries, (\d+) receipts verified, (\d+) refused with reasons, 0 lost"
)
_LARGE_BYTES = 24 * 1024**2


@pytest.mark.timeout(600)
async def test_demo_brings_back_a_verified_receipt_for_everything(tmp_path: Path) -> None:
    said = io.StringIO()
    code = await main(tmp_path / "run", Console(file=said, width=160), _LARGE_BYTES)
    lines = said.getvalue().strip().splitlines()
    assert code == 0, said.getvalue()
    last = _LAST.fullmatch(lines[-1])
    assert last, lines[-1]
    documents, deliveries, verified, refused = map(int, last.groups())
    assert documents >= 20
    assert len(list((tmp_path / "run" / "receipts").rglob("*.xml"))) == verified
    assert verified >= deliveries
    assert refused >= 5
