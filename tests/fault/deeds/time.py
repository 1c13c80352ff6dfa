"""Clocks jump, offices are away for days, certificates end."""

import asyncio
import random
from datetime import timedelta

from axis import clock
from tests.fault.clocks import READ_EVERY_S
from tests.fault.deeds import broker
from tests.fault.trial import ADDRESSEES, AXIS, SENDER, Trial
from tests.laboratory import axis

_DAY = timedelta(days=1)
_SOME = 15  # Documents.
_UNNOTICED_S = 6.0  # That a certificate has ended.


async def jump(trial: Trial, draw: random.Random) -> None:
    """The clock of the axis, or of an office, is a day wrong for some seconds, and is set right again.

    Meanwhile the broker goes away and comes back, so that much is put off by a clock that is wrong.
    """
    trial.done["clocks a day wrong"] += 1
    name = draw.choice(("axis", "axis", SENDER, *ADDRESSEES))
    trial.clocks.set(_DAY * draw.choice((1, -1)), name)
    await asyncio.sleep(READ_EVERY_S + draw.uniform(0, 2))
    await broker.kill(trial, draw)
    await asyncio.sleep(draw.uniform(2, 6))
    trial.clocks.set(timedelta(), name)
    await asyncio.sleep(READ_EVERY_S)


async def be_away(trial: Trial, draw: random.Random) -> None:
    """An office is away for four days, and returns to what has come; then for six days, and some of that has expired."""
    code = draw.choice(ADDRESSEES)
    await _send_some(trial)
    for days in (4, 6):
        trial.done["days away"] += days
        trial.down.add(code)
        await trial.laboratory.stop(code)
        await _send_some(trial)
        await _let_pass(trial, timedelta(days=days))
        await _send_some(trial)
        await trial.start_again(code)
        await trial.until_true(lambda: trial.books.unheard() == 0)
    expired = (await trial.audit())["terminal"] - trial.books.delivered()
    assert _SOME <= expired < 2 * _SOME, expired
    (trial.place(SENDER) / "pause").unlink()


async def _send_some(trial: Trial) -> None:
    """Let the sender send, and rest when what it has sent is in custody."""
    sent = len(trial.books.sent())
    (trial.place(SENDER) / "pause").unlink(missing_ok=True)
    await trial.until_true(lambda: len(trial.books.sent()) >= sent + _SOME)
    (trial.place(SENDER) / "pause").touch()
    await trial.until_true(lambda: trial.books.accepted() >= len(trial.books.sent()))


async def _let_pass(trial: Trial, span: timedelta) -> None:
    """Let it be later everywhere."""
    trial.passed += span
    trial.clocks.set(trial.passed, "axis", SENDER, *ADDRESSEES)
    await asyncio.sleep(3)


async def end_certificates(trial: Trial, _draw: random.Random) -> None:
    """The certificates of the sender and of an addressee end while they work; some seconds later each has a new one."""
    for code, lifetime in trial.conditions.lifetimes.items():
        trial.done["certificates ended"] += 1
        await asyncio.sleep(max(0.0, (trial.born + lifetime - clock.now()).total_seconds()) + _UNNOTICED_S)
        await _renew(trial, code)
        trial.down.add(code)
        await trial.laboratory.stop(code)
        await trial.start_again(code)


async def renew_keys(trial: Trial, draw: random.Random) -> None:
    """The axis and the offices get new keys, and work on with the old ones until each is restarted."""
    for code in draw.sample((AXIS, SENDER, *ADDRESSEES), 4):
        trial.done["keys renewed"] += 1
        await _renew(trial, code)
        await asyncio.sleep(draw.uniform(0, 3))
        name = "axis" if code == AXIS else code
        await trial.laboratory.stop(name)
        await trial.start_again(name)


async def _renew(trial: Trial, code: str) -> None:
    """Give somebody a new key and certificate, and load the roll with it."""
    await asyncio.to_thread(trial.issue, code, clock.now())
    loaded = await trial.command(*axis("offices", "load", str(trial.trust / "offices.toml")))
    assert loaded[0] == 0, loaded
