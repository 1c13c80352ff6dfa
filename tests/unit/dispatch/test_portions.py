"""A round of attempts goes out in portions that fit into memory."""

from hypothesis import given
from hypothesis import strategies as st

from axis.dispatch import outbound
from axis.ledger import Attempt


def _attempt(number: int, size: int) -> Attempt:
    return Attempt(
        delivery_id=number,
        envelope_id=f"{number:032}",
        addressee="H56.112",
        attempt_no=1,
        digest="0" * 64,
        sealed=bytes(size),
        priority=0,
        chain_head="0" * 64,
    )


@given(
    st.lists(
        st.sampled_from([1, 4_096, 1024 * 1024, outbound._AT_ONCE_BYTES, outbound._AT_ONCE_BYTES + 1]), max_size=40
    )
)
def test_every_attempt_goes_once_in_its_turn_and_no_portion_is_too_large(sizes: list[int]) -> None:
    attempts = [_attempt(number, size) for number, size in enumerate(sizes)]
    portions = list(outbound._portions(attempts))
    assert [one.delivery_id for portion in portions for one in portion] == list(range(len(sizes)))
    for portion in portions:
        assert len(portion) == 1 or sum(len(one.sealed) for one in portion) <= outbound._AT_ONCE_BYTES
    small_enough = sum(sizes) <= outbound._AT_ONCE_BYTES
    assert len(portions) == bool(sizes) if small_enough else len(portions) > 1 or len(sizes) == 1
