"""Files that go along: a message is taken apart as it was put together, and a line gets what it has shown that it carries."""

import asyncio
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.broker import carried
from axis.broker.carried import MOST_BYTES, QUICK_S, Window, load, may_go_along, unload
from axis.broker.packing import FROM_BYTES

A, B = sha256(b"a").hexdigest(), sha256(b"b").hexdigest()
ENVELOPE = b"<Envelope/>"


@given(st.binary(min_size=1), st.dictionaries(st.sampled_from([f"{n:064x}" for n in range(20)]), st.binary(min_size=1)))
def test_what_goes_along_comes_out_as_it_was(envelope: bytes, files: dict[str, bytes]) -> None:
    files = dict(list(files.items())[:16])
    if not files:
        return
    packed = load(envelope, files)
    assert packed.encoding is None
    assert unload(packed.body, packed.files) == (envelope, files)
    assert list(unload(packed.body, packed.files)[1]) == list(files)


@pytest.mark.parametrize(
    "said",
    [
        "",
        f"{A}",
        f"{A} 0",
        f"{A} -1",
        f"{A} 1,{B} 1",
        f"{A} 1, ",
        f"{A} 01",
        f"{A} 1 ",
        f"{A.upper()} 1",
        f"{A} 1, {A} 1",
        f"{A} {len(ENVELOPE) + 2}",
        f"{A} 999999",
        f"{A} 9999999",
        ", ".join(f"{number:064x} 1" for number in range(17)),
        f"{A} ١",
    ],
)
def test_header_that_is_not_of_this_form_or_not_of_this_body_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="files"):
        unload(ENVELOPE + b"ab", said)


def test_of_a_message_something_must_be_the_envelope() -> None:
    with pytest.raises(ValueError, match="files"):
        unload(b"ab", f"{A} 2")


def test_files_beyond_the_limit_are_refused() -> None:
    half = MOST_BYTES // 2
    body = ENVELOPE + bytes(2 * half + 1)
    with pytest.raises(ValueError, match="files"):
        unload(body, f"{A} {half}, {B} {half + 1}")
    assert unload(body[:-1], f"{A} {half}, {B} {half}")[0] == ENVELOPE


@pytest.mark.parametrize(
    ("envelope_bytes", "sizes", "may"),
    [
        (4096, (1,), True),
        (4096, (MOST_BYTES,), True),
        (4096, (MOST_BYTES, 1), False),
        (4096, (), False),
        (4096, (5, 0), False),
        (4096, (1,) * 16, True),
        (4096, (1,) * 17, False),
        (FROM_BYTES, (1,), False),
    ],
)
def test_what_may_go_along(envelope_bytes: int, sizes: tuple[int, ...], may: bool) -> None:
    assert may_go_along(bytes(envelope_bytes), sizes) is may


class _Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def line(clock: _Clock) -> Window:
    return Window(clock)


def test_unknown_line_gets_one_message_and_a_quick_one_ever_more(line: Window) -> None:
    assert line.enter("1", MOST_BYTES)
    assert not line.enter("2", 1)
    line.answered("1")
    assert line.enter("2", MOST_BYTES)
    assert line.enter("3", MOST_BYTES)
    assert not line.enter("4", 1)
    for name in "23":
        line.answered(name)
    assert [line.enter(str(number), MOST_BYTES) for number in range(10, 15)] == [True] * 4 + [False]


def test_there_is_an_end_to_it(line: Window) -> None:
    _teach(line, 1000)
    let_go = sum(line.enter(f"more {number}", MOST_BYTES) for number in range(1000))
    assert let_go * MOST_BYTES == carried._MOST_ON_WAY


def _teach(line: Window, messages: int) -> None:
    for number in range(messages):
        assert line.enter(str(number), MOST_BYTES)
        line.answered(str(number))


def test_slow_line_gets_nothing_for_a_while_and_longer_each_time(line: Window, clock: _Clock) -> None:
    for shut_s in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        assert line.enter("1", MOST_BYTES)
        clock.s += QUICK_S + 0.1
        line.answered("1")
        clock.s += shut_s - 0.2
        assert not line.enter("1", 1)
        clock.s += 0.3
    _teach(line, 1)  # It is a good one now.
    line.enter("1", MOST_BYTES)
    line.enter("2", MOST_BYTES)
    clock.s += QUICK_S + 0.1
    line.answered("1")
    line.answered("2")  # It went when nothing was known, and teaches nothing more.
    assert line.enter("1", MOST_BYTES)
    line.failed("1")
    clock.s += 60
    assert line.enter("1", 1)


def test_line_that_becomes_slow_gets_half_and_is_judged_by_what_goes_then(line: Window, clock: _Clock) -> None:
    _teach(line, 7)  # Eight may go now.
    assert all(line.enter(f"full {number}", MOST_BYTES) for number in range(8))
    clock.s += QUICK_S + 0.1
    for number in range(8):
        line.answered(f"full {number}")
    assert [line.enter(f"half {number}", MOST_BYTES) for number in range(5)] == [True] * 4 + [False]
    for number in range(4):
        line.answered(f"half {number}")
    assert [line.enter(f"more {number}", MOST_BYTES) for number in range(9)] == [True] * 8 + [False]


def test_what_is_not_answered_was_slow(line: Window, clock: _Clock) -> None:
    """However long nobody answers: little goes into the broker meanwhile."""
    _teach(line, 1000)
    gone = 0
    for _ in range(24 * 3600):
        clock.s += 1
        gone += line.enter(f"{clock.s}", MOST_BYTES)
    assert gone < 200
    line.answered("long ago")
    assert not line.enter("1", 1)


def test_where_others_hear_what_is_not_heard_says_nothing(clock: _Clock) -> None:
    line = Window(clock, hears_all=False)
    for number in range(100):
        clock.s += 11
        assert line.enter(str(number), MOST_BYTES)
        assert not line.enter("another", 1)
    assert len(line._on_way) == 1


def test_what_has_not_gone_says_nothing_of_the_line(line: Window, clock: _Clock) -> None:
    line.enter("1", MOST_BYTES)
    clock.s += 6
    line.withdrawn("1")
    line.answered("1")
    line.failed("1")
    line.withdrawn("never")
    assert line.enter("2", MOST_BYTES)
    assert not line.enter("2", 0)  # Each goes once.
    assert line._bytes == MOST_BYTES


def test_what_failed_shuts_the_line(line: Window, clock: _Clock) -> None:
    line.enter("1", MOST_BYTES)
    line.failed("1")
    assert not line.enter("2", 1)
    clock.s += 60
    assert line.enter("2", 1)


async def test_who_waits_goes_when_another_is_answered(line: Window, clock: _Clock) -> None:
    assert await line.enter_soon("1", MOST_BYTES)
    waiting = [asyncio.create_task(line.enter_soon(name, MOST_BYTES)) for name in "234"]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in waiting)
    line.answered("1")  # Two may go from here on.
    await asyncio.sleep(0.01)
    assert [one.done() for one in waiting] == [True, True, False]
    line.withdrawn("2")
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_nobody_waits_where_nothing_goes(line: Window, clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "_SOON_S", 0.05)
    assert await line.enter_soon("1", MOST_BYTES)
    assert not await line.enter_soon("1", 0)
    assert not await line.enter_soon("2", MOST_BYTES)  # Nothing is answered for a while.
    waiting = asyncio.create_task(line.enter_soon("3", MOST_BYTES))
    await asyncio.sleep(0)
    line.failed("1")
    assert not await waiting
    assert not await line.enter_soon("4", 1)
