"""What every Python process with a false clock does first.

libfaketime 0.9.10 answers `clock_nanosleep` with an absolute time, which is how
`time.sleep` sleeps since Python 3.11, with EINVAL. To wait for nothing in
`select` is the same sleep by another call.
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: SupportsIndex | float, /) -> None:
    select.select((), (), (), float(seconds))


time.sleep = _sleep
