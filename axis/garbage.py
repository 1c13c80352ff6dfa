"""Garbage: how often a long-running process looks for objects that hold each other.

Python looks after every 700 new ones. A process that takes a hundred documents a
second makes so many in a few milliseconds, nearly all of them gone by
themselves, and what it has imported lives as long as it does: a twelfth of its
processor time went into looking. Memory is freed as before; only rings of
objects wait a little longer.
"""

import gc

_NEW = 50_000  # Objects made and not yet gone, after which the youngest are looked at.
_YOUNG, _OLD = 20, 50  # So many looks before the older ones are looked at as well.


def look_seldom() -> None:
    """Leave alone what is there now, and look for rings among what comes, now and then. Call it once all is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW, _YOUNG, _OLD)
