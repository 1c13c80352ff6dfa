"""Ids: no two alike, in the order of their times, and of the form that RFC 9562 gives them."""

import re
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from axis import ids

_AT = datetime(2026, 8, 25, 1, 2, 3, 4_000, UTC)
_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365 * 8000)).map(lambda passed: _BEGAN + passed)


def test_no_two_of_one_moment_are_alike() -> None:
    assert len({ids.new(_AT) for _ in range(10_000)}) == 10_000


@given(_TIMES)
def test_id_is_a_uuid_of_version_7_that_tells_its_time(at: datetime) -> None:
    made = ids.new(at)
    known = UUID(made)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert (known.version, known.variant) == (7, RFC_4122)
    assert abs(datetime.fromtimestamp((known.int >> 80) / 1000, UTC) - at) <= timedelta(milliseconds=1)


@given(_TIMES, _TIMES)
def test_order_of_ids_is_the_order_of_their_times(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    if later - earlier >= timedelta(milliseconds=2):
        assert ids.new(earlier) < ids.new(later)


def test_every_other_bit_is_drawn() -> None:
    drawn = [int(ids.new(_AT), 16) for _ in range(200)]
    ever, always = 0, (1 << 128) - 1
    for one in drawn:
        ever |= one
        always &= one
    assert (ever & ~always).bit_count() == 74


def test_ids_of_one_moment_differ_in_what_a_person_is_shown() -> None:
    assert len({ids.short(ids.new(_AT)) for _ in range(10)}) == 10
