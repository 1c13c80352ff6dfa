"""A round of attempts goes out in portions that fit into memory."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from axis.broker import Packed
from axis.broker.topology import is_urgent
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
    leaving = [((_attempt(number),), Packed(bytes(size))) for number, size in enumerate(sizes)]
    portions = list(outbound._portions(leaving))
    assert [alike[0].delivery_id for portion in portions for alike, _ in portion] == list(range(len(sizes)))
    for portion in portions:
        assert len(portion) == 1 or sum(len(body.body) for _, body in portion) <= outbound._AT_ONCE_BYTES
    assert (
        len(portions) == min(len(sizes), 1)
        if sum(sizes) <= outbound._AT_ONCE_BYTES
        else len(portions) > 1 or len(sizes) == 1
    )


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.sampled_from("hk"), st.integers(0, 3)), max_size=120
    )
)
def test_attempts_that_one_publish_makes_are_alike_and_each_is_made_once(
    rounds: list[tuple[str, int, str, int]],
) -> None:
    attempts = [
        replace(_attempt(number), envelope_id=envelope, attempt_no=count, chain_head=head, priority=priority)
        for number, (envelope, count, head, priority) in enumerate(rounds)
    ]
    together = list(outbound._alike(attempts))
    assert sorted(one.delivery_id for some in together for one in some) == list(range(len(rounds)))
    kinds = [
        {(one.envelope_id, one.attempt_no, one.chain_head, is_urgent(one.priority)) for one in some}
        for some in together
    ]
    assert all(len(kind) == 1 for kind in kinds)
    assert all(len(some) == 1 or len(some) >= outbound._CIRCULAR for some in together)
    of_many = [kind.pop() for some, kind in zip(together, kinds, strict=True) if len(some) > 1]
    assert len(of_many) == len(set(of_many))
