"""Shared commits: together when together, alone at once, each its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from axis.intake.commits import SharedCommits


async def test_first_item_is_committed_alone_and_the_rest_share() -> None:
    seen: list[list[int]] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def commit(items: Sequence[int]) -> Sequence[int]:
        seen.append(list(items))
        begun.set()
        await gate.wait()
        return [item * 10 for item in items]

    commits = SharedCommits(commit, most=3)
    first = asyncio.create_task(commits.add(0))
    await begun.wait()
    rest = [asyncio.create_task(commits.add(n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(first, *rest) == [0, 10, 20, 30, 40, 50]
    assert seen == [[0], [1, 2, 3], [4, 5]]


async def test_failed_commit_fails_its_own_items_only() -> None:
    async def commit(items: Sequence[str]) -> Sequence[str]:
        if "bad" in items:
            raise RuntimeError("disk")
        return items

    commits = SharedCommits(commit, most=1)
    good, bad, later = await asyncio.gather(
        commits.add("good"), commits.add("bad"), commits.add("later"), return_exceptions=True
    )

    assert (good, later) == ("good", "later")
    assert isinstance(bad, RuntimeError)


async def test_caller_that_goes_away_does_not_spoil_the_batch() -> None:
    gate = asyncio.Event()

    async def commit(items: Sequence[int]) -> Sequence[int]:
        await gate.wait()
        return items

    commits = SharedCommits(commit, most=10)
    leaver, stayer = asyncio.create_task(commits.add(1)), asyncio.create_task(commits.add(2))
    await asyncio.sleep(0)
    leaver.cancel()
    gate.set()

    assert await stayer == 2
    with pytest.raises(asyncio.CancelledError):
        await leaver
