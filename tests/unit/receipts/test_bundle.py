"""Bundles: what goes in comes out, byte for byte, and what is no bundle is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.errors import Refusal
from axis.receipts import bundle


@given(st.lists(st.binary(), min_size=1, max_size=20))
def test_what_is_packed_comes_out(receipts: list[bytes]) -> None:
    assert bundle.unpack(*bundle.pack(receipts)) == receipts


def test_a_receipt_of_its_own_is_not_wrapped() -> None:
    assert bundle.pack([b"<Receipt/>"]) == ("receipt", b"<Receipt/>")


@given(st.binary(max_size=60))
def test_no_bytes_do_more_harm_than_a_refusal(body: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert sum(map(len, bundle.unpack(bundle.RECEIPTS, body))) < len(body)


@pytest.mark.parametrize(
    "body", [b"", b"3:abc", b"3:abcd,", b"3abc,", b"-1:,", b":,", b"3:abc,x", b"99999999999:abc,", b"4:abc,"]
)
def test_what_is_no_bundle_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        bundle.unpack(bundle.RECEIPTS, body)
    assert caught.value.code == "RCT.INVALID"


@pytest.mark.parametrize("sizes", [[0] * (bundle.MOST + 1), [bundle.MOST_BYTES // 2, bundle.MOST_BYTES // 2 + 1]])
def test_what_is_more_than_anybody_packs_is_refused(sizes: list[int]) -> None:
    """A router would judge each of a million, and so would the next one that got the message."""
    with pytest.raises(Refusal) as caught:
        bundle.unpack(*bundle.pack([bytes(size) for size in sizes]))
    assert caught.value.code == "RCT.INVALID"
    assert len(bundle.unpack(*bundle.pack([bytes(size) for size in sizes[1:]]))) == len(sizes) - 1


@given(st.lists(st.integers(0, bundle.MOST_BYTES * 2), max_size=8), st.integers(0, 250))
def test_portions_hold_everything_once_and_not_too_much(sizes: list[int], small: int) -> None:
    items = [(bytes(size), number) for number, size in enumerate([*sizes, *[10] * small])]
    portions = list(bundle.portions(items))
    assert [item for portion in portions for item in portion] == items
    for portion in portions:
        assert 1 <= len(portion) <= bundle.MOST
        assert len(portion) == 1 or sum(len(xml) for xml, _ in portion) <= bundle.MOST_BYTES
