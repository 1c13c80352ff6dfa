"""Cluster: three RabbitMQ nodes on this machine, that one can be killed of, or two, or all.

Each is a private node as the axis makes one, but they share an epmd and an
Erlang cookie, which is what lets nodes find and believe each other.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from axis import private
from axis.broker import PrivateNode
from axis.broker.private_node import free_ports

_NODES = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three nodes."""

    nodes: tuple[PrivateNode, ...]
    names: tuple[str, ...]

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["Cluster"]:
        """Start three nodes, join them, and stop them when the block ends."""
        ports = iter(free_ports(2 * _NODES + 1))
        epmd, password, cookie = next(ports), secrets.token_urlsafe(24), secrets.token_hex(20)
        names, places = [], []
        for number in range(_NODES):
            place = folder / f"node{number + 1}"
            private.make_folder(place / "home")
            private.write_secret(place / "home" / ".erlang.cookie", cookie.encode())
            (place / "home" / ".erlang.cookie").chmod(0o400)
            names.append(f"axis{number + 1}-{secrets.token_hex(3)}@localhost")
            born = {
                "name": names[-1],
                "port": next(ports),
                "dist_port": next(ports),
                "epmd_port": epmd,
                "password": password,
            }
            private.write_secret(place / "node.json", json.dumps(born).encode())
            places.append(place)
        cluster = cls(tuple(map(PrivateNode, places)), tuple(names))
        try:
            await asyncio.gather(*(node.start() for node in cluster.nodes))
            for node in cluster.nodes[1:]:
                for words in (("stop_app",), ("reset",), ("join_cluster", names[0]), ("start_app",)):
                    await node.ctl(*words)
            yield cluster
        finally:
            # A node that waits for others is not ended by SIGTERM; all together, because each waits for the others.
            for node in cluster.nodes:
                await asyncio.to_thread(node.kill)
            await cluster.nodes[0].stop()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the nodes listen."""
        found = (node.address.rsplit(":", 1) for node in self.nodes)
        return [(host, int(port)) for host, port in found]

    async def leader_of(self, queue: str) -> int:
        """Return which node leads a quorum queue."""
        for node in self.nodes:
            if node.pid is None:
                continue
            told = await node.ctl("list_queues", "name", "leader", "--no-table-headers")
            for line in told.splitlines():
                words = line.split("\t")
                if words[0] == queue and words[1] in self.names:
                    return self.names.index(words[1])
        raise RuntimeError(f"nobody leads {queue}")

    async def start(self, *numbers: int) -> None:
        """Start nodes side by side: one that was killed among the last waits for those that outlived it."""
        await asyncio.gather(*(self.nodes[number].start() for number in numbers))
