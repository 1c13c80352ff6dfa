"""Flows as files: everything that is wrong with one is said at once, with its place."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axis import clock, flow
from axis.cli.main import root
from axis.flow.clerk import DECISIONS, HOW
from axis.flow.steps import VERBS

HEAD = """title_vi = "Thử (ví dụ)"
title_en = "A trial"
offices = [{ code = "H56.05", name = "Sở (ví dụ)" }, { code = "H56.9", name = "Vắng (ví dụ)", connected = false }]
"""


def _problems(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "flow.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(flow.Misread) as caught:
        flow.read(file)
    assert str(caught.value).startswith(f"{file}:")
    return caught.value.problems


def test_every_slip_is_said_with_line_step_and_field(tmp_path: Path) -> None:
    text = f"""{HEAD}
[[steps]]
do = "send"
document = "a"
from = "H56.05"
too = ["H56.9"]

[[steps]]
do = "sende"

[[steps]]
do = "time passes"
"""
    assert _problems(tmp_path, text) == (
        "6: step 1 (send): to: Field required",
        "6: step 1 (send): too: Extra inputs are not permitted",
        f"12: step 2: do = 'sende' is none of: {', '.join(VERBS)}",
        "15: step 3 (time passes): : Value error, give either after or at",
    )


def test_step_about_what_is_not_there_is_refused(tmp_path: Path) -> None:
    text = f"""{HEAD}steps = [
  {{ do = "send", document = "a", from = "H56.9", to = ["H56.05"] }},
  {{ do = "send", document = "a", from = "H56.05", to = ["H56.9"] }},
  {{ do = "expect delivery", document = "b", office = "H56.9", state = "sent" }},
]
"""
    assert _problems(tmp_path, text) == (
        "5: step 1 (send): no office H56.9 runs in this flow",
        "6: step 2 (send): a has been sent by a step before",
        "7: step 3 (expect delivery): no step before has sent b",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title_vi = ", "1: Invalid value"),
        (HEAD, "1: steps: Field required"),
        (HEAD + 'steps = [{ do = "axis stops" }]\nstarts_at = 2026-01-01T00:00:00', "1: starts_at: Value error, write the zone"),
        (HEAD.replace('"H56.05"', '"h56"', 1) + 'steps = [{ do = "axis stops" }]', "1: offices.0.code: String should match"),
    ],
)  # fmt: skip
def test_head_of_a_flow_is_checked(tmp_path: Path, text: str, said: str) -> None:
    assert _problems(tmp_path, text)[0].startswith(said)


def test_command_checks_without_running(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(HEAD + 'steps = [{ do = "axis stops" }]', encoding="utf-8")
    bad.write_text(HEAD + 'steps = [{ do = "axis halts" }]', encoding="utf-8")
    answer = CliRunner().invoke(root("flow"), ["flow", "check", str(good), "--json"])
    assert (answer.exit_code, json.loads(answer.stdout)[0]["steps"]) == (0, 1)
    answer = CliRunner().invoke(root("flow"), ["flow", "check", str(good), str(bad)])
    assert answer.exit_code == 2
    assert "axis halts" in answer.output


def test_every_verb_says_what_it_does_and_every_field_has_a_form() -> None:
    assert [name for name, verb in VERBS.items() if not (verb.act.__doc__ or "").strip().endswith(".")] == []
    assert set(HOW) == {"registered", "refused", "delivered", "unavailable", "exception", "permanent", "death", "busy"}
    assert set(DECISIONS) == {"agreed", "declined", "delivered"}


# --- the clock inside a flow ------------------------------------------------------------------


async def test_time_moves_inside_and_nowhere_else() -> None:
    shift = clock.Shift(timedelta(days=30))
    seen: list[datetime] = []

    async def look() -> None:
        seen.append(clock.now())
        await asyncio.sleep(0)
        seen.append(await asyncio.to_thread(clock.now))

    before = datetime.now(UTC)
    with clock.shifted(shift):
        task = asyncio.create_task(look())
    outside = asyncio.create_task(asyncio.to_thread(clock.now))
    await task
    assert all(timedelta(days=30) <= one - before < timedelta(days=30, minutes=1) for one in seen)
    assert abs(await outside - before) < timedelta(minutes=1)
    assert abs(clock.now() - before) < timedelta(minutes=1)
    thread = threading.Thread(target=lambda: seen.append(clock.now()))
    thread.start()
    thread.join()
    assert seen[-1] - before < timedelta(minutes=1)
