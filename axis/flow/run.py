"""Running: flows on stages, and what came of each.

A flow ends at the first step that fails, and when its time is over, wherever it
stands. One whose steps are all done must also leave the books in order: `axis
audit` would find nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axis import clock
from axis.broker import PrivateNode
from axis.errors import Refusal
from axis.flow.expect import Facts, Unmet
from axis.flow.script import Flow, Written, read_flow
from axis.flow.stage import Accounts, Stage, admit, staged
from axis.flow.steps import VERBS
from axis.receipts import check_chain

DEFAULT_LIMIT_S = 180.0  # A minute more than the longest that one step may wait.
_AROUND_S = 60.0  # For setting the stage and clearing it, beyond what the steps have.


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a flow failed, for a person."""

    step: int  # 0: before the first; behind the last: the books.
    line: int
    do: str
    expected: dict[str, Any]
    came: dict[str, Any]
    problem: str
    receipts: tuple[str, ...]  # What was said about the messages of the flow until then.


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one flow."""

    file: Path
    title_vi: str
    title_en: str
    steps: int
    done: int
    seconds: float
    failure: Failure | None

    @property
    def passed(self) -> bool:
        """Whether all was as it ought to be."""
        return self.failure is None


def read(file: Path) -> Flow:
    """Read a flow, by the vocabulary that there is.

    Raises:
        Misread: It is none.
    """
    return read_flow(file, {name: verb.model for name, verb in VERBS.items()})


@asynccontextmanager
async def private_node(folder: Path, said: Callable[[str], None]) -> AsyncIterator[PrivateNode]:
    """Run a broker for some flows."""
    node = PrivateNode(folder, said)
    try:
        await node.start()
        yield node
    finally:
        await node.stop()


async def run_all(
    flows: Sequence[Flow],
    node: PrivateNode,
    folder: Path,
    *,
    at_once: int,
    limit_s: float,
    told: Callable[[Result], None],
) -> list[Result]:
    """Run flows beside each other on one broker.

    Args:
        flows: As `read` returned them.
        node: Runs.
        folder: For everything that they write; each gets a folder of its own.
        at_once: So many at the same time.
        limit_s: How long the steps of one flow may take together, in real seconds.
        told: Hears of each as it ends.

    Returns:
        The results, in the order of the flows.

    Raises:
        TransientError: SYS.BROKER
    """
    accounts = await admit(flows, node, folder)
    free = asyncio.Semaphore(at_once)

    async def one(number: int, flow: Flow) -> Result:
        async with free:
            result = await run_one(flow, accounts, folder / f"{number:02}-{flow.file.stem}", limit_s=limit_s)
        told(result)
        return result

    return list(await asyncio.gather(*(one(number, flow) for number, flow in enumerate(flows, 1))))


async def run_one(flow: Flow, accounts: Accounts, folder: Path, *, limit_s: float = DEFAULT_LIMIT_S) -> Result:
    """Run one flow; whatever goes wrong is its result."""
    began = time.monotonic()
    done, failure = 0, None
    around = asyncio.timeout(limit_s + _AROUND_S)
    try:
        async with around, staged(flow, accounts, folder) as stage:
            done, failure = await _play(stage, limit_s)
    except Exception as error:  # The others go on.
        problem = f"{type(error).__name__}: {error}"
        if around.expired():
            problem = (
                f"dựng hoặc dọn quá {_AROUND_S:g} s / setting the stage or clearing it took more than {_AROUND_S:g} s"
            )
        failure = failure or Failure(step=0, line=1, do="", expected={}, came={}, problem=problem, receipts=())
    return Result(
        file=flow.file,
        title_vi=flow.title_vi,
        title_en=flow.title_en,
        steps=len(flow.steps),
        done=done,
        seconds=time.monotonic() - began,
        failure=failure,
    )


async def _play(stage: Stage, limit_s: float) -> tuple[int, Failure | None]:
    """Take the steps in their order; return how many were done, and what failed."""
    at = stage.flow.steps[0]
    try:
        async with asyncio.timeout(limit_s):
            for at in stage.flow.steps:
                failure = await _take(stage, at)
                if failure is not None:
                    return at.number - 1, failure
    except TimeoutError:  # The limit's: one of the step itself is a failure already.
        return at.number - 1, await _failure(
            stage, at, f"hết thời gian {limit_s:g} s / the {limit_s:g} s of the flow are over"
        )
    return len(stage.flow.steps), await _look_at_the_books(stage)


async def _take(stage: Stage, written: Written) -> Failure | None:
    """Take one step; return why it failed."""
    expected: dict[str, Any] = {}
    came: dict[str, Any] = {}
    try:
        await VERBS[written.verb].act(stage, written.step)
    except Unmet as unmet:
        problem, expected, came = "", unmet.expected, unmet.came
    except AssertionError as error:
        problem = str(error)
    except Exception as error:  # Whatever it is, it is this flow's; the others go on.
        problem = f"{type(error).__name__}: {error}"
    else:
        return None
    return await _failure(stage, written, problem, expected, came)


async def _failure(
    stage: Stage, written: Written, problem: str, expected: Facts | None = None, came: Facts | None = None
) -> Failure:
    return Failure(
        step=written.number,
        line=written.line,
        do=written.verb,
        expected=dict(expected or {}),
        came=dict(came or {}),
        problem=problem,
        receipts=tuple([line async for line in _chains(stage)]),
    )


async def _chains(stage: Stage) -> AsyncIterator[str]:
    """Yield what was said about each message, a line for each receipt."""
    for name in stage.sent:
        answered = await stage.answered(stage.sent[name])
        if answered is None:
            yield f"{name}: –"
        elif not answered.accepted:
            yield f"{name}: rejected {' '.join(one.code for one in answered.violations)}"
        else:
            for one in await stage.said_about(name, None):
                said = one.receipt
                about = said.addressee or "*"
                by = said.issuer if said.verified else f"{said.issuer}, notary"
                yield f"{name}: {said.level} · {by} → {about}" + (f" · {said.reason}" if said.reason else "")


async def _look_at_the_books(stage: Stage) -> Failure | None:
    """Return what is wrong with the ledger and with the chains of receipts, once all steps are done."""
    report = await stage.rooms.ledger.audit(clock.now())
    problems = [str(found) for found in report.findings]
    for envelope in await stage.rooms.ledger.envelopes():
        rows = await stage.rooms.ledger.receipts_of(envelope.envelope_id)
        try:
            check_chain([stage.read(row.xml) for row in rows])
        except Refusal as refusal:
            problems.append(str(refusal))
    if not problems:
        return None
    return Failure(
        step=len(stage.flow.steps) + 1,
        line=1,
        do="audit",
        expected={},
        came={},
        problem="; ".join(problems),
        receipts=(),
    )
