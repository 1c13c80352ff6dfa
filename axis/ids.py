"""Ids: the names that the axis gives to what it keeps.

An id begins with the time at which it was made. What is kept together then
stands together in every index by id: a commit writes to the last page of each,
where ids drawn at random write to a page of their own each. To everybody else an
id is 32 letters without a meaning.

Spec: RFC 9562 5.7 (UUID version 7), written as 32 hexadecimal digits; docs/adr/0039.
"""

import os
import re
from datetime import datetime

SHORT = 6  # So many letters are enough for a person who looks for an id.

_DRAWN_BYTES = 10
_PART = re.compile(f"[0-9a-f]{{{SHORT},32}}")
_VERSION, _VERSION_AT, _VERSION_BITS = 0x7, 76, 0xF
_VARIANT, _VARIANT_AT, _VARIANT_BITS = 0b10, 62, 0b11


def new(at: datetime) -> str:
    """Return an id that nothing else has: 48 bits of time in milliseconds, 74 drawn ones, and what version 7 prescribes.

    Args:
        at: Now, aware. Of two ids of the same millisecond either may be the smaller one.
    """
    drawn = int.from_bytes(os.urandom(_DRAWN_BYTES))
    drawn = drawn & ~(_VERSION_BITS << _VERSION_AT) | _VERSION << _VERSION_AT
    drawn = drawn & ~(_VARIANT_BITS << _VARIANT_AT) | _VARIANT << _VARIANT_AT
    return f"{int(at.timestamp() * 1000):012x}{drawn:020x}"


def short(made: str) -> str:
    """Return the end of an id, for a person: all that were made within hours begin alike."""
    return made[-SHORT:]


def may_be_part(text: str) -> bool:
    """Whether a person may mean an id by that, and has given enough of it."""
    return _PART.fullmatch(text) is not None
