"""The router's rooms on each kind of ledger: what one office says must not stop what the others say."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from axis.broker import Broker, Incoming, topology
from axis.router import Router
from tests.house import COMMUNE, OTHER, House

_SOON_S = 10.0


def _router(home: House) -> Router:
    return Router(
        ledger=home.ledger,
        broker=Broker.__new__(Broker),  # Nothing here publishes.
        intake=home.intake,
        answers=home.answers,
        batch=64,
        prefetch=128,
        ring=lambda: None,
        now=home.now,
    )


def _beat(office: str, body: bytes) -> Incoming:
    return Incoming(
        body=body,
        type="heartbeat",
        headers={},
        exchange=topology.office_exchange(office),
        user_id=None,
        redelivered=False,
        delivery_count=0,
        died_in="",
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (json.dumps({"version": "1.2\0"}).encode(), "1.2"),
        (json.dumps({"version": "1.2\ud800"}).encode(), "1.2"),
        (json.dumps({"version": {"a": 1}}).encode(), "{'a': 1}"),
        (json.dumps({"version": "1" * 5000}).encode(), ""),
        (b"[" * 4000, ""),
        (b"[" * 1_000_000, ""),
        (b"\xff", ""),
    ],
    ids=["nul", "half a character", "no text", "long", "deep", "huge", "no UTF-8"],
)
async def test_odd_heartbeat_counts_as_one_and_holds_up_nobody(home: House, said: bytes, kept: str) -> None:
    router = _router(home)
    beats = [_beat(OTHER, said), _beat(COMMUNE, b'{"version": "1"}')]
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(router._beaten)(beats)
    assert not any(beat.returned for beat in beats)
    lanes = {lane.office: lane.version for lane in await home.ledger.lanes()}
    assert lanes == {OTHER: kept, COMMUNE: "1"}


@pytest.mark.parametrize(
    ("kind", "headers"),
    [("heart\0beat", {}), ("envelope", {"x": float("nan")}), ("envelope", {"x\0": "y\ud800"})],
    ids=["nul", "not a number", "half a character"],
)
async def test_odd_dead_letter_is_kept_and_holds_up_nobody(home: House, kind: str, headers: Mapping[str, Any]) -> None:
    router = _router(home)
    odd = _beat(OTHER, b"x")
    odd.type, odd.headers, odd.died_in = kind, dict(headers), topology.HEARTBEATS
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(router._buried)([odd])
    assert not odd.returned


async def test_data_that_the_database_refuses_is_no_outage(home: House) -> None:
    """It is raised as it is, and what shares its commit is written without it."""
    results = await asyncio.gather(
        home.ledger.heartbeat(OTHER, home.at, "1\ud800"),
        home.ledger.heartbeat(COMMUNE, home.at, "1"),
        return_exceptions=True,
    )
    assert [type(one).__name__ == "TransientError" for one in results] == [False, False]
    assert COMMUNE in {lane.office for lane in await home.ledger.lanes()}
