"""Laboratory: real processes for the demonstration, the measurements and the faults, ended by their ids."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_STOP_S = 25.0


@dataclass(slots=True)
class Running:
    """A process and what it writes."""

    name: str
    process: asyncio.subprocess.Process
    reading: asyncio.Task[None] | None


@dataclass(slots=True)
class Laboratory:
    """Starts processes under one folder and stops all of them."""

    folder: Path
    running: dict[str, Running] = field(default_factory=dict)

    @property
    def base(self) -> dict[str, str]:
        """The environment that every process gets: ours, without settings of an axis that this machine may run."""
        return {name: value for name, value in os.environ.items() if not name.startswith("AXIS_")}

    async def start_python(self, name: str, module: str, *arguments: str) -> Running:
        """Start a Python module."""
        return await self.start(name, sys.executable, "-m", module, *arguments)

    async def start(
        self,
        name: str,
        *command: str,
        more: Mapping[str, str] | None = None,
        heard: Callable[[dict[str, object]], None] | None = None,
    ) -> Running:
        """Start a process; its output goes to logs/NAME.log, and its JSON events to `heard`."""
        (self.folder / "logs").mkdir(exist_ok=True)
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            # Where nobody listens, no line costs us anything: what is measured shares the machine with us.
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**self.base, **(more or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if heard is None else asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # A Ctrl-C is ours; the processes are told to stop, in order, by us.
            )
        reading = None if heard is None else asyncio.create_task(self._read(name, process, heard))
        one = Running(name, process, reading)
        self.running[name] = one
        return one

    async def _read(
        self, name: str, process: asyncio.subprocess.Process, heard: Callable[[dict[str, object]], None]
    ) -> None:
        assert process.stdout is not None
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            async for line in process.stdout:
                log.write(line)
                log.flush()
                if line.startswith(b"{"):
                    try:
                        heard(json.loads(line))
                    except ValueError:
                        continue

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """End a process; return its exit code."""
        one = self.running.pop(name)
        if one.process.returncode is None:
            one.process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                code = await one.process.wait()
        except TimeoutError:
            one.process.kill()
            code = await one.process.wait()
        if one.reading is not None:
            await one.reading
        return code

    async def kill(self, name: str) -> int:
        """End a process as a power cut does, with the routers that it has started; a broker of its own stays.

        Returns:
            How many processes those were.
        """
        routers = _routers_of(self.running[name].process.pid)
        await self.stop(name, signal.SIGKILL)
        for pid in routers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return 1 + len(routers)

    async def stop_all(self) -> dict[str, int]:
        """End every process, the last started first."""
        return {name: await self.stop(name) for name in reversed(list(self.running))}

    def dead(self) -> list[str]:
        """Return the processes that ended by themselves."""
        return [name for name, one in self.running.items() if one.process.returncode is not None]


def _routers_of(parent: int) -> list[int]:
    """Return the processes that `axis up` keeps running."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It ended while we looked.
            is_child = stat.read_text().rpartition(")")[2].split()[1] == str(parent)
            if is_child and b"\0router\0" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return found


def axis(*arguments: str) -> tuple[str, ...]:
    """Return the command line of `axis`, as it is installed beside this Python."""
    return (str(Path(sys.executable).with_name("axis")), *arguments)
