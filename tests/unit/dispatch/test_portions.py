"""A round of attempts goes out in portions that fit into memory."""

from hypothesis import given
from hypothesis import strategies as st

from axis.broker import Packed
from axis.dispatch import outbound
from axis.ledger import Attempt


def _attempt(number: int) -> Attempt:
    return Attempt(
        delivery_id=number,
        envelope_id=f"{number:032}",
        addressee="H56.112",
        attempt_no=1,
        digest="0" * 64,
        sealed=b"",
        priority=0,
        chain_head="0" * 64,
    )


@given(
    st.lists(
        st.sampled_from([1, 4_096, 1024 * 1024, outbound._AT_ONCE_BYTES, outbound._AT_ONCE_BYTES + 1]), max_size=40
    )
)
def test_every_attempt_goes_once_in_its_turn_and_no_portion_is_too_large(sizes: list[int]) -> None:
    leaving = [(_attempt(number), Packed(bytes(size))) for number, size in enumerate(sizes)]
    portions = list(outbound._portions([*leaving, (_attempt(len(sizes)), None)]))
    assert [one.delivery_id for portion in portions for one, _ in portion] == list(range(len(sizes) + 1))
    for portion in portions:
        bodies = [body.body for _, body in portion if body is not None]
        assert len(bodies) <= 1 or sum(map(len, bodies)) <= outbound._AT_ONCE_BYTES
    small_enough = sum(sizes) <= outbound._AT_ONCE_BYTES
    assert len(portions) == 1 if small_enough else len(portions) > 1 or len(sizes) == 1
