"""Partition: two processes of this machine do not hear each other any more, and nobody tells them.

By nftables: what the loopback carries over exactly those connections is dropped,
by a table of its own that goes when the block ends. Only root may do that, and
only where the kernel lets it.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_ESTABLISHED = "01"
_PACKETS = re.compile(r"counter packets (\d+)")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection between processes of this machine, as one of them sees it."""

    own: int  # Port.
    other: int


def can_cut() -> bool:
    """Tell whether connections can be cut here."""
    return os.geteuid() == 0 and _nft("list", "tables").returncode == 0


def connections(pid: int, ports: Collection[int]) -> list[Connection]:
    """Return the connections of a process from or to one of some ports of this machine."""
    own = {found[1] for found in map(_SOCKET.match, _descriptors(pid)) if found is not None}
    found = []
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, *_, inode = line.split()[:10]
        pair = Connection(_port(local), _port(remote))
        if state == _ESTABLISHED and inode in own and {pair.own, pair.other} & set(ports):
            found.append(pair)
    return found


def _descriptors(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # It was closed meanwhile.
            yield str(descriptor.readlink())


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


@contextlib.contextmanager
def cut(which: Collection[Connection], *, one_way: bool) -> Iterator[Callable[[], int]]:
    """Let nothing through, or nothing that goes out, until the block ends; yield what counts the packets dropped.

    Raises:
        RuntimeError: The kernel does not take the rules.
    """
    table = f"axis_trial_{os.getpid()}"
    ways = [(one.own, one.other) for one in which]
    ways += [] if one_way else [(one.other, one.own) for one in which]
    rules = "".join(f'iifname "lo" tcp sport {source} tcp dport {target} counter drop\n' for source, target in ways)
    text = f"table inet {table} {{\nchain parted {{\ntype filter hook input priority 0;\n{rules}}}\n}}\n"
    try:
        done = _nft("-f", "-", text=text)
        if done.returncode:
            raise RuntimeError(f"nft: {done.stderr.strip()}")
        yield lambda: sum(map(int, _PACKETS.findall(_nft("list", "table", "inet", table).stdout)))
    finally:
        _nft("delete", "table", "inet", table)


def _nft(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nft", *words], input=text, capture_output=True, text=True, check=False)
