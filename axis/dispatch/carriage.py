"""Carriage: the small files that came in the message of an envelope go on in the messages of its deliveries.

They are in the spool before custody begins, and this is a copy in memory of what
came a moment ago: it spares the first attempt the way over HTTP and the spool a
reading. Where it is gone - another process, a later attempt - the addressee
fetches its files.

Spec: docs/protocol/deliveries.md 2; docs/adr/0035-small-files-go-along.md.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from functools import partial

from axis.broker import Packed, carried
from axis.ledger import Attempt
from axis.telemetry import metrics

_MOST_BYTES = 32 * 1024 * 1024  # What is older gives way,
_KEPT_S = 30.0  # and what nothing has come of: no custody, or no attempt yet.
Files = Mapping[str, bytes]  # By digest.


class Carriage:
    """Files by envelope, and what each office's line has shown that it carries. For one event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing in hand, and no line known.

        Args:
            now: Seconds of a clock that nobody sets.
        """
        self._now = now
        self._files: OrderedDict[str, tuple[Files, float]] = OrderedDict()
        self._bytes = 0
        # Other routers may hear the answers: of an office that is silent the ledger knows, and it takes nothing then.
        self._lines: defaultdict[str, carried.Window] = defaultdict(partial(carried.Window, now, hears_all=False))

    def keep(self, envelope_id: str, files: Files) -> None:
        """Keep the files of an envelope whose deliveries are about to begin."""
        now = self._now()
        self._files[envelope_id] = files, now
        self._bytes += _size(files)
        while self._files:
            oldest, (_, since) = next(iter(self._files.items()))
            if self._bytes <= _MOST_BYTES and now - since <= _KEPT_S:
                return
            self.take(oldest)

    def take(self, envelope_id: str) -> Files:
        """Return the files of an envelope, and let go of them; {} if there are none in hand."""
        files, _ = self._files.pop(envelope_id, ({}, 0.0))
        self._bytes -= _size(files)
        return files

    def load(self, attempt: Attempt, body: Packed, files: Files) -> Packed:
        """Return the message of an attempt: with its files, if it is the first, its office takes them, and its line is quick."""
        size_bytes = _size(files)
        if not 0 < size_bytes <= attempt.takes_files or attempt.attempt_no > 1 or body.encoding is not None:
            return body
        if not self._lines[attempt.addressee].enter(attempt.envelope_id, size_bytes):
            return body
        metrics.FILES_ALONG.labels("out").inc(len(files))
        return carried.load(body.body, files)

    def unmade(self, attempt: Attempt) -> None:
        """Note that an attempt has not been made, or that nobody knows."""
        if attempt.addressee in self._lines:
            self._lines[attempt.addressee].withdrawn(attempt.envelope_id)

    def answered(self, office: str, envelope_id: str) -> None:
        """Note that an office has said something of an envelope: what went along has arrived."""
        if office in self._lines:
            self._lines[office].answered(envelope_id)


def _size(files: Files) -> int:
    return sum(map(len, files.values()))
