"""docs/flows: every flow comes out as it says, on a real broker; and one that does not says why."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from axis import flow
from axis.broker import PrivateNode
from axis.cli.flow import explanation
from axis.flow.run import run_one
from axis.flow.stage import Accounts, admit

FOLDER = Path(__file__).parents[3] / "docs" / "flows"
FILES = sorted(FOLDER.glob("*.toml"))
MOST_S = 60.0

WRONG = """
title_vi = "Kỳ vọng sai"
title_en = "A wrong expectation"
offices = [{ code = "H56.05", name = "Sở (ví dụ)" }, { code = "H56.112", name = "UBND phường (ví dụ)" }]
steps = [
  { do = "send", document = "d", from = "H56.05", to = ["H56.112"] },
  { do = "expect delivery", document = "d", office = "H56.112", state = "delivered" },
  { do = "expect delivery", document = "d", office = "H56.112", state = "refused", business = "02", within = 0.2 },
  { do = "expect register", document = "d", office = "H56.112", times = 1 },
]
"""


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """Flows are full of errors that ought to be; to print one with all its locals takes the test's time."""
    with capture_logs():
        yield


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> flow.Flow:
    file = tmp_path_factory.mktemp("flows") / "wrong.toml"
    file.write_text(WRONG, encoding="utf-8")
    return flow.read(file)


@pytest.fixture(scope="module")
def accounts(rabbitmq: PrivateNode, wrong: flow.Flow, tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    """What every flow needs at the broker, by one call of its tool, which takes seconds."""
    flows = [*map(flow.read, FILES), wrong]
    return asyncio.run(admit(flows, rabbitmq, tmp_path_factory.mktemp("accounts")))


def test_there_are_flows() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
async def test_flow_comes_out_as_it_says(file: Path, accounts: Accounts, tmp_path: Path) -> None:
    result = await run_one(flow.read(file), accounts, tmp_path)
    assert result.failure is None, explanation(result)
    assert result.done == result.steps
    assert result.seconds < MOST_S


async def test_flow_that_cannot_be_played_says_so(wrong: flow.Flow, accounts: Accounts, tmp_path: Path) -> None:
    roll = replace(wrong, groups=({"code": "H56.05", "name": "trùng mã (ví dụ)"},))
    result = await run_one(roll, accounts, tmp_path)
    assert result.failure is not None
    assert (result.passed, result.done, result.failure.step) == (False, 0, 0)
    assert "H56.05" in explanation(result)


async def test_expectation_that_fails_is_explained(wrong: flow.Flow, accounts: Accounts, tmp_path: Path) -> None:
    result = await run_one(wrong, accounts, tmp_path)
    assert (result.passed, result.done) == (False, 2)
    failure = result.failure
    assert failure is not None
    assert (failure.step, failure.line, failure.do) == (3, 8, "expect delivery")
    assert failure.expected == {"state": "refused", "business": "02"}
    assert failure.came == {"state": "delivered", "business": "03"}
    assert [one.split(" ")[1] for one in failure.receipts] == ["accepted", "delivered", "registered"]
    text = explanation(result)
    assert f"{wrong.file}:8: bước / step 3 (expect delivery)" in text
    assert "mong đợi / expected   state = refused · business = 02" in text
    assert "thực tế / came        state = delivered · business = 03" in text
