"""Carried: small files travel in the message of their envelope.

To bring and to fetch a file over HTTP takes longer than all else that is done
for a document with a small one. So files may follow their envelope in the body
of its message, and a header says where each begins. What is sealed is not
touched: the envelope names its files by digest, and whoever takes one in
compares it.

A file goes along only where the line has shown that it carries it (`Window`): on a thin
one it would stand before everything else, and come again as a whole after a cut.

Spec: docs/protocol/broker.md 9; docs/adr/0035-small-files-go-along.md.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from axis.broker.packing import FROM_BYTES, Packed

FILES = "files"  # The header: what follows the envelope.
TAKES_FILES = "takes-files"  # The header in which the axis says how many bytes it takes.
MOST_BYTES = 128 * 1024  # Of all files of one message.
TAKEN = {TAKES_FILES: MOST_BYTES}  # To an office, with its receipts.
_MOST_FILES = 16
_FILE = re.compile(r"([0-9a-f]{64}) ([1-9][0-9]{0,5})")

QUICK_S = 5.0  # Until what went along is answered: so long it may stand before something urgent.
_MOST_ON_WAY = 16 * 1024 * 1024
_SHUT_FIRST_S, _SHUT_MOST_S = 60.0, 3600.0
_SOON_S = 1.0  # Where much is on its way already, it is better to wait for an answer than to take the long way.
_COUNTS_S = 10.0  # What is not answered by then counts no more.


def may_go_along(envelope: bytes, sizes: Sequence[int]) -> bool:
    """Tell whether files of these sizes may travel in the message of an envelope; one that is packed carries none."""
    return 0 < len(sizes) <= _MOST_FILES and min(sizes) > 0 and sum(sizes) <= MOST_BYTES and len(envelope) < FROM_BYTES


def load(envelope: bytes, files: Mapping[str, bytes]) -> Packed:
    """Return a message that carries files, by digest; they may go along."""
    said = ", ".join(f"{digest} {len(content)}" for digest, content in files.items())
    return Packed(b"".join((envelope, *files.values())), files=said)


def unload(body: bytes, said: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the envelope of a message, and its files by the digests that they are said to have.

    Raises:
        ValueError: The body is not as the header says.
    """
    found = [_FILE.fullmatch(one) for one in said.split(", ", _MOST_FILES)]
    sizes = {one[1]: int(one[2]) for one in found if one is not None}
    begin = len(body) - sum(sizes.values())
    if len(sizes) != len(found) or len(sizes) > _MOST_FILES or begin <= 0 or len(body) - begin > MOST_BYTES:
        raise ValueError(f"files {said[:100]!r}")
    envelope, files = body[:begin], {}
    for digest, size in sizes.items():
        files[digest] = body[begin : begin + size]
        begin += size
    return envelope, files


class Window:
    """How much may be on its way along one line: as much more as was answered quickly, and half of it where that was slow.

    A line that is not known yet gets the files of one message; one that is slow with no more than that gets nothing for a
    minute, and twice as long each time after. For one event loop.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, *, hears_all: bool = True) -> None:
        """Begin to know a line.

        Args:
            now: Seconds of a clock that nobody sets.
            hears_all: Whether every answer comes to this process. Else one that does not come tells nothing.
        """
        self._now = now
        self._hears_all = hears_all
        self._most = MOST_BYTES
        self._shut_until = 0.0
        self._shut_s = _SHUT_FIRST_S
        self._learned = 0.0  # When it was slow last: of what was on its way then, nothing new is learned.
        self._on_way: OrderedDict[str, tuple[int, float]] = OrderedDict()  # Bytes, and since when.
        self._bytes = 0
        self._freed = asyncio.Event()

    async def enter_soon(self, name: str, size_bytes: int) -> bool:
        """Let something go as soon as there is room; False if the line is shut, or nothing is answered for a second."""
        try:
            async with asyncio.timeout(_SOON_S):
                while not self.enter(name, size_bytes):
                    if self._now() < self._shut_until or name in self._on_way:
                        return False
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            return False
        return True

    def enter(self, name: str, size_bytes: int) -> bool:
        """Let something go, if there is room."""
        now = self._now()
        self._forget(now)
        if now < self._shut_until or self._bytes + size_bytes > self._most or name in self._on_way:
            return False
        self._on_way[name] = size_bytes, now
        self._bytes += size_bytes
        return True

    def answered(self, name: str) -> None:
        """Note that something has arrived, and learn from how long that took; of what never entered, nothing."""
        now = self._now()
        self._forget(now)
        if name not in self._on_way:
            return
        size_bytes, since = self._take(name)
        if now - since > QUICK_S:
            self._was_slow(since, now)
        else:
            self._most = min(self._most + size_bytes, _MOST_ON_WAY)
            self._shut_s = _SHUT_FIRST_S

    def failed(self, name: str) -> None:
        """Note that something did not get over, or that nobody knows."""
        if name in self._on_way:
            self._was_slow(self._take(name)[1], self._now())

    def withdrawn(self, name: str) -> None:
        """Note that something has not gone, and the line is not the reason."""
        if name in self._on_way:
            self._take(name)

    def _take(self, name: str) -> tuple[int, float]:
        size_bytes, since = self._on_way.pop(name)
        self._bytes -= size_bytes
        self._freed.set()
        return size_bytes, since

    def _was_slow(self, since: float, now: float) -> None:
        if since < self._learned:
            return
        self._learned = now
        if self._most > MOST_BYTES:
            self._most = max(self._most // 2, MOST_BYTES)
        else:
            self._shut_until = now + self._shut_s
            self._shut_s = min(self._shut_s * 2, _SHUT_MOST_S)

    def _forget(self, now: float) -> None:
        while self._on_way:
            name, (_, since) = next(iter(self._on_way.items()))
            if now - since <= _COUNTS_S:
                return
            self._take(name)
            if self._hears_all:
                self._was_slow(since, now)
