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
from axis.errors import PermanentError
from axis.flow.expect import Unmet
from axis.flow.run import run_one
from axis.flow.stage import Accounts, admit, staged
from axis.flow.steps import VERBS

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

ENDLESS = """
title_vi = "Chờ mãi"
title_en = "One that waits"
offices = [{ code = "H56.05", name = "Sở (ví dụ)" }, { code = "H56.112", name = "UBND phường (ví dụ)" }]
steps = [
  { do = "send", document = "d", from = "H56.05", to = ["H56.112"] },
  { do = "expect delivery", document = "d", office = "H56.112", state = "delivered" },
  { do = "expect delivery", document = "d", office = "H56.112", state = "refused", within = 120 },
]
"""

PLAYED = """
title_vi = "Kỳ vọng sai"
title_en = "A wrong expectation"
starts_at = 2026-08-25T09:00:00+07:00
offices = [{ code = "H56.05", name = "Sở (ví dụ)" }, { code = "H56.112", name = "UBND phường (ví dụ)" }]
steps = [
  { do = "send", document = "d", from = "H56.05", to = ["H56.112"], contents = ["%s"] },
  { do = "send", document = "r", from = "H56.05", to = ["H56.112"], order = "recall", target = "d", reason = "nhầm (ví dụ)" },
  { do = "expect order handed over", office = "H56.112", order = "r", kind = "recall", targets = ["d"], reason = "nhầm (ví dụ)" },
  { do = "expect content", office = "H56.112", document = "d", kind = "DossierProgress", status = 5 },
"""
NOT_SO = (  # What PLAYED does not come to, and what it comes to instead.
    ('{ do = "expect order handed over", office = "H56.112", order = "r", kind = "update", targets = ["d"] }', "'kind': 'recall'"),
    ('{ do = "expect order handed over", office = "H56.112", order = "r", kind = "recall", targets = ["r"] }', "'targets': ['d']"),
    ('{ do = "expect order handed over", office = "H56.05", order = "r", kind = "recall", targets = ["d"] }', "'kind': None"),
    ('{ do = "expect content", office = "H56.112", document = "d", kind = "Dossier" }', "'kind': 'DossierProgress'"),
    ('{ do = "expect content", office = "H56.112", document = "d", kind = "DossierProgress", status = 4 }', "'status': 5"),
    ('{ do = "expect content", office = "H56.112", document = "d", kind = "DossierProgress", ics = ["METHOD:REQUEST"] }', "'ics': []"),
    ('{ do = "expect dossier", code = "H56.05-20260810-0000123", office = "H56.05", statuses = [] }', "'statuses': [5]"),
    ('{ do = "expect dossier", code = "H56.05-20260810-0000123", office = "H56.112", statuses = [5] }', "'statuses': []"),
    ('{ do = "expect task", code = "NV-2026-0042", given_by = "H56.05", office = "H56.112", statuses = [1] }', "'statuses': []"),
    ('{ do = "expect reminders", office = "H56.112", document = "d", codes = ["DUE.SOON"] }', "'codes': []"),
    ('{ do = "expect register", office = "H56.112", document = "d", withdrawn = true }', "'withdrawn': False"),
    ('{ do = "expect register", office = "H56.112", document = "d", verified = false }', "'verified': True"),
    ('{ do = "expect delivery", office = "H56.112", document = "d", overdue = true }', "'overdue': False"),
    ('{ do = "expect delivery", office = "H56.112", document = "d", register_by = 2026-08-25T16:00:00+07:00 }', "datetime(2026, 8, 25, 10, 0"),
    ('{ do = "expect answer", office = "H56.112", get = "/v1/envelopes/{d}/edxml", says = ["không có"] }', "'says': []"),
    ('{ do = "expect answer", office = "H56.112", get = "/v1/envelopes/{d}/edxml", headers = { "Axis-Verified" = "no" } }', "'Axis-Verified': 'yes'"),
    ('{ do = "report", office = "H56.112", document = "d", code = "05" }', "ORD.FROZEN"),
    ('{ do = "report", office = "H56.112", document = "d", code = "05", fails = "ORD.WITHDRAWN" }', "ORD.FROZEN"),
    ('{ do = "report", office = "H56.112", document = "r", code = "15", fails = "ORD.ANSWER" }', "'fails': None"),
)  # fmt: skip


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
def endless(tmp_path_factory: pytest.TempPathFactory) -> flow.Flow:
    file = tmp_path_factory.mktemp("flows") / "endless.toml"
    file.write_text(ENDLESS, encoding="utf-8")
    return flow.read(file)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> flow.Flow:
    file = tmp_path_factory.mktemp("flows") / "played.toml"
    content = FOLDER.parent / "examples" / "ho-so-tien-do.xml"
    steps = ",\n".join(f"{step[:-2]}, within = 0.2 }}" if "expect" in step else step for step, _ in NOT_SO)
    file.write_text(f"{PLAYED % content}{steps}]", encoding="utf-8")
    return flow.read(file)


@pytest.fixture(scope="module")
def accounts(
    rabbitmq: PrivateNode,
    wrong: flow.Flow,
    endless: flow.Flow,
    played: flow.Flow,
    tmp_path_factory: pytest.TempPathFactory,
) -> Accounts:
    """What every flow needs at the broker, by one call of its tool, which takes seconds."""
    flows = [*map(flow.read, FILES), wrong, endless, played]
    return asyncio.run(admit(flows, rabbitmq, tmp_path_factory.mktemp("accounts")))


def test_there_are_flows() -> None:
    assert len(FILES) >= 60


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


async def test_flow_whose_time_is_over_says_where_it_stood(
    endless: flow.Flow, accounts: Accounts, tmp_path: Path
) -> None:
    result = await run_one(endless, accounts, tmp_path, limit_s=5)
    assert (result.passed, result.done) == (False, 2)
    assert result.failure is not None
    assert (result.failure.step, result.failure.line, result.failure.do) == (3, 8, "expect delivery")
    assert [one.split(" ")[1] for one in result.failure.receipts] == ["accepted", "delivered", "registered"]
    assert "the 5 s of the flow are over" in explanation(result)
    assert result.seconds < MOST_S


async def test_every_expectation_can_fail(played: flow.Flow, accounts: Accounts, tmp_path: Path) -> None:
    async with staged(played, accounts, tmp_path) as stage:
        for written in played.steps[: -len(NOT_SO)]:
            await VERBS[written.verb].act(stage, written.step)
        for written, (step, came) in zip(played.steps[-len(NOT_SO) :], NOT_SO, strict=True):
            with pytest.raises((Unmet, PermanentError)) as caught:
                await VERBS[written.verb].act(stage, written.step)
            assert came in str(caught.value).rpartition(", came ")[2], step
