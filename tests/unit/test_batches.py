"""Batches: together when together, alone at once, each its own answer."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from axis.batches import Batches
from axis.errors import TransientError


async def test_first_item_is_committed_alone_and_the_rest_share() -> None:
    seen: list[list[int]] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def commit(items: Sequence[int]) -> Sequence[int]:
        seen.append(list(items))
        begun.set()
        await gate.wait()
        return [item * 10 for item in items]

    batches = Batches(commit, most=3)
    first = asyncio.create_task(batches.add(0))
    await begun.wait()
    rest = [asyncio.create_task(batches.add(n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(first, *rest) == [0, 10, 20, 30, 40, 50]
    assert seen == [[0], [1, 2, 3], [4, 5]]


async def test_failed_commit_fails_its_own_items_only() -> None:
    async def commit(items: Sequence[str]) -> Sequence[str]:
        if "bad" in items:
            raise RuntimeError("disk")
        return items

    batches = Batches(commit, most=1)
    good, bad, later = await asyncio.gather(
        batches.add("good"), batches.add("bad"), batches.add("later"), return_exceptions=True
    )

    assert (good, later) == ("good", "later")
    assert isinstance(bad, RuntimeError)


async def test_caller_that_goes_away_does_not_spoil_the_batch() -> None:
    gate = asyncio.Event()

    async def commit(items: Sequence[int]) -> Sequence[int]:
        await gate.wait()
        return items

    batches = Batches(commit, most=10)
    leaver, stayer = asyncio.create_task(batches.add(1)), asyncio.create_task(batches.add(2))
    await asyncio.sleep(0)
    leaver.cancel()
    gate.set()

    assert await stayer == 2
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_item_that_spoils_a_commit_spoils_only_its_own() -> None:
    seen: list[list[str]] = []

    async def commit(items: Sequence[str]) -> Sequence[str]:
        seen.append(list(items))
        if "bad" in items:
            raise ValueError("bad")
        return items

    batches = Batches(commit, most=10)
    answers = await asyncio.gather(*map(batches.add, ("a", "bad", "b")), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["a", "bad", "b"]
    assert isinstance(answers[1], ValueError)
    assert seen == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


async def test_commit_that_cannot_be_made_now_is_not_tried_item_by_item() -> None:
    seen: list[int] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        seen.append(len(items))
        raise TransientError("SYS.LEDGER")

    batches = Batches(commit, most=10)
    answers = await asyncio.gather(*map(batches.add, range(5)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {TransientError}
    assert seen == [5]


async def test_finish_waits_for_what_was_added() -> None:
    done: list[int] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0.02)
        done.extend(items)
        return items

    batches = Batches(commit, most=1)
    tasks = [asyncio.create_task(batches.add(number)) for number in range(3)]
    await asyncio.sleep(0)
    await batches.finish()
    assert done == [0, 1, 2]
    await asyncio.gather(*tasks)


async def test_what_becomes_ready_turn_after_turn_joins_the_first() -> None:
    seen: list[int] = []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        seen.append(len(items))
        return items

    async def come(batches: Batches[int, int]) -> None:
        for number in range(5):
            batches.put(number)
            await asyncio.sleep(0)

    batches = Batches(commit, most=10)
    await come(batches)
    await batches.finish()
    assert seen == [5]

    few = Batches(commit, most=3)
    await come(few)
    await few.finish()
    assert seen == [5, 3, 2]


async def test_lone_item_waits_for_one_turn_and_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns, begun = 100.0, 0, list[int]()
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    async def commit(items: Sequence[int]) -> Sequence[int]:
        begun.append(turns)
        return items

    batches = Batches(commit, most=1000)
    batches.put(0)
    while not begun:
        await asyncio.sleep(0)
        turns += 1
    assert begun.pop() <= 2

    turns = 0
    while not begun:  # One comes with each turn, of a millisecond, for ever.
        batches.put(turns)
        await asyncio.sleep(0)
        turns, now = turns + 1, now + 0.001
    await batches.finish()
    assert 5 <= begun[0] <= 8
