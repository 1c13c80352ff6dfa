"""Cluster: three RabbitMQ nodes on this machine, that one can be killed of, or two, or all.

Each is a private node as the axis makes one, but they share an epmd and an
Erlang cookie, which is what lets nodes find and believe each other.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from axis import private
from axis.broker import PrivateNode
from axis.broker.private_node import free_ports
from tests.fault.partition import Connection, connections

_NODES = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three nodes."""

    nodes: tuple[PrivateNode, ...]
    names: tuple[str, ...]
    dist_ports: tuple[int, ...]  # Where each hears the others.

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["Cluster"]:
        """Start three nodes, join them, and stop them when the block ends."""
        ports = iter(free_ports(2 * _NODES + 1))
        epmd, password, cookie = next(ports), secrets.token_urlsafe(24), secrets.token_hex(20)
        names, places, dist_ports = [], [], []
        for number in range(_NODES):
            place = folder / f"node{number + 1}"
            private.make_folder(place / "home")
            private.write_secret(place / "home" / ".erlang.cookie", cookie.encode())
            (place / "home" / ".erlang.cookie").chmod(0o400)
            names.append(f"axis{number + 1}-{secrets.token_hex(3)}@localhost")
            dist_ports.append(next(ports))
            born = {
                "name": names[-1],
                "port": next(ports),
                "dist_port": dist_ports[-1],
                "epmd_port": epmd,
                "password": password,
            }
            private.write_secret(place / "node.json", json.dumps(born).encode())
            places.append(place)
        cluster = cls(tuple(map(PrivateNode, places)), tuple(names), tuple(dist_ports))
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

    def between(self, number: int, others: Collection[int]) -> list[Connection]:
        """Return the connections of a node to some others."""
        mine = {one for other in others for one in self._own(other)}
        return [one for one in self._own(number) if Connection(one.other, one.own) in mine]

    def _own(self, number: int) -> list[Connection]:
        pid = self.nodes[number].pid
        assert pid is not None
        return connections(pid, self.dist_ports)

    async def start(self, *numbers: int) -> None:
        """Start nodes side by side: one that was killed among the last waits for those that outlived it."""
        await asyncio.gather(*(self.nodes[number].start() for number in numbers))
