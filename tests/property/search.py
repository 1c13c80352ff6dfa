"""Search: a machine is driven through examples that nobody has tried, until its time is over.

`make test` tries the same examples each time: what a random one finds should not
stop somebody else's work. `make fault` searches as well, for SEARCH_S seconds in
each machine; what it finds it prints, as short as it goes.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

SEARCH_S = float(os.environ.get("SEARCH_S") or 120)
_ROUND = 10  # Examples: they take a minute at most.
_MORE_S = 600.0  # To make what is found as short as it goes.
WITHIN_S = SEARCH_S + _MORE_S


def search(play: Callable[[Any], None], examples: SearchStrategy[Any]) -> None:
    """Play random examples, a round after the other; the last round is played to its end."""
    end = time.monotonic() + SEARCH_S
    round_of = settings(max_examples=_ROUND, derandomize=False, deadline=None, print_blob=True)(given(examples)(play))
    while time.monotonic() < end:
        round_of()
