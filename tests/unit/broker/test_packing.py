"""What is packed comes out as it was, and nothing else comes out."""

import gzip
import os

import pytest

from axis.broker.packing import FROM_BYTES, GZIP, Packed, pack, unpack

TEXT = b"<To>H56.112</To>" * 10_000


async def test_what_is_packed_comes_out_as_it_was() -> None:
    packed = await pack(TEXT)
    assert packed.encoding == GZIP
    assert len(packed.body) < len(TEXT) / 20
    assert unpack(packed.body, packed.encoding, len(TEXT)) == TEXT
    assert packed == await pack(TEXT)


@pytest.mark.parametrize("body", [b"", TEXT[: FROM_BYTES - 1], os.urandom(FROM_BYTES)])
async def test_what_does_not_become_smaller_travels_as_it_is(body: bytes) -> None:
    assert await pack(body) == Packed(body)
    assert unpack(body, None, 0) == body


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (TEXT, GZIP, "no gzip"),
        (b"", GZIP, "does not end"),
        (gzip.compress(TEXT), "br", "content-encoding 'br'"),
        (gzip.compress(TEXT)[:-1], GZIP, "does not end"),
        (gzip.compress(TEXT) + b"x", GZIP, "does not end"),
        (gzip.compress(TEXT) + gzip.compress(TEXT), GZIP, "does not end"),
        (gzip.compress(TEXT)[:-5] + b"\0" + gzip.compress(TEXT)[-4:], GZIP, "no gzip"),
    ],
)
def test_what_is_not_packed_as_it_says_is_refused(body: bytes, encoding: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack(body, encoding, len(TEXT))


@pytest.mark.parametrize("more", [1, 2, 1 << 28])
def test_of_what_is_too_large_no_more_is_unpacked_than_shows_it(more: int) -> None:
    assert unpack(gzip.compress(TEXT + bytes(more)), GZIP, len(TEXT)) == TEXT + b"\0"
