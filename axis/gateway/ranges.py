"""Ranges: one byte range of a file.

Spec: RFC 9110 §14.
"""

import re

from axis.errors import refuse

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def parse_range(header: str | None, size: int) -> tuple[int, int]:
    """Return the half-open range that is asked for; the whole file if the header is absent or of another kind.

    Raises:
        Refusal: API.RANGE; the file has no such bytes.
    """
    found = _RANGE.fullmatch((header or "").strip())
    # RFC 9110 §14.2: a unit that is not understood, or a list that is not served, is answered with the whole.
    if found is None or found[1] == found[2] == "":
        return 0, size
    if found[1] == "":  # The last n bytes.
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
    if start >= end:
        raise refuse("API.RANGE", f"{header} / {size}")
    return start, end
