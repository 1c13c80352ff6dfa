"""Private node: a RabbitMQ of our own, where no broker is given.

It runs as whoever we are from the scripts of Debian's package, under our data
folder, on loopback, with a node name, ports, an Erlang cookie, an epmd and a
password that nobody else uses. What it holds survives a restart; a second
start finds the first.

Spec: RabbitMQ "Configuration" (environment variables); Erlang `epmd`.
"""

import asyncio
import contextlib
import json
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from axis import private, turns
from axis.broker import topology
from axis.broker.definitions import definitions
from axis.broker.pipes import Broker
from axis.cancelling import ends_when_told
from axis.errors import PermanentError, TransientError

_BIN = Path("/usr/lib/rabbitmq/bin")
_USER = "axis"
_START_S = 180.0
_STOP_S, _AGAIN_S = 30.0, 1.0
_COMMAND_S = 60.0
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DESCRIPTORS_OF_AN_OFFICE = 3  # Its connection, and a file of each of its two queues while what is in it is read.
_HANDLES, _TICK_MS = 1_000_000, 60_000  # See `_environment`.
_LOG_BYTES = (64 * 1024 * 1024, 256 * 1024 * 1024)  # Of the log that all queues share: least and most.
_LOG_OF_MEMORY = 1 / 32
_FIRST_PORT, _USUALLY_GIVEN = 10_240, 32_768  # Below the first are the ports by which services are known.


@dataclass(frozen=True, slots=True)
class _Place:
    """What a node was born with; kept in node.json."""

    name: str
    port: int
    dist_port: int
    epmd_port: int
    password: str


class PrivateNode:
    """One node under one folder."""

    def __init__(self, folder: Path, said: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder.resolve()  # As the node's own command line has it, whatever link has led here.
        self._said = said
        self._place: _Place | None = None
        self._launched: int | None = None

    @property
    def url(self) -> str:
        """Return how the axis itself connects."""
        return self.url_of(_USER, self._known().password)

    def url_of(self, user: str, password: str) -> str:
        """Return how an account connects."""
        return f"amqp://{user}:{password}@127.0.0.1:{self._known().port}/"

    @property
    def address(self) -> str:
        """Return where the node is, without an account: HOST:PORT."""
        return f"127.0.0.1:{self._known().port}"

    @property
    def pid(self) -> int | None:
        """Process id of the node, if it runs."""
        if self._launched is not None and _has_ended(self._launched):
            self._launched = None
        if self._launched is not None:
            return self._launched  # It may not have written its pid file yet.
        try:
            pid = int((self._folder / "node.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if _runs(pid) and self._is_ours(pid) else None

    async def start(self) -> None:
        """Start the node, or find it running; returns when it takes connections and commands.

        Raises:
            PermanentError: CFG.INVALID; rabbitmq-server is not installed.
            TransientError: SYS.BROKER; it did not come up. What was started of it is for `stop` to end.
        """
        if not (_BIN / "rabbitmq-server").exists():
            raise PermanentError("CFG.INVALID", "rabbitmq-server is not installed, and no AXIS_BROKER_URL is given")
        self._place = self._load_or_make()
        began, pid = time.monotonic(), self.pid
        if pid is not None:
            await self._until_up(pid, began)
            self._said(f"broker: already running on port {self._place.port}")
            return
        self._said("broker: starting a private RabbitMQ node (about 7 s)")
        self._configure()
        # Not in a thread: who is told to end meanwhile would not know what it has launched.
        self._launched = pid = self._launch()
        await self._until_up(pid, began)
        self._said(f"broker: ready on port {self._place.port} after {time.monotonic() - began:.1f} s")

    async def stop(self) -> None:
        """Stop the node, if there is one, and its epmd; the messages stay on disk."""
        if not (self._folder / "node.json").exists():
            return
        self._place = self._load_or_make()
        pid = self.pid
        if pid is not None:
            began = time.monotonic()
            while _runs(pid):  # The pid file goes before the node does.
                # Again and again: one that is just starting has nobody yet who would hear it.
                _send(pid, signal.SIGKILL if time.monotonic() - began > _STOP_S else signal.SIGTERM)
                await _until_ended(pid, _AGAIN_S)
            self._said("broker: stopped")
        epmd = shutil.which("epmd")
        if epmd is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(
                    subprocess.run,
                    [epmd, "-kill"],
                    env=self._environment(),
                    capture_output=True,
                    check=False,
                    timeout=10,
                )

    def kill(self) -> None:
        """End the node at once, as a power cut would. For fault tests."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            while _runs(pid):
                time.sleep(0.02)

    async def set_offices(self, passwords: Mapping[str, str]) -> None:
        """Give each office its account.

        Args:
            passwords: Password by office code.
        """
        file = self._folder / "accounts.json"
        private.write_secret(file, json.dumps(definitions(passwords)).encode())
        try:
            await self.ctl("import_definitions", str(file))
        finally:
            file.unlink(missing_ok=True)

    async def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node.

        Raises:
            TransientError: SYS.BROKER
        """
        try:
            done = await asyncio.to_thread(
                subprocess.run, [str(_BIN / "rabbitmqctl"), "-q", *arguments],
                env=self._environment(), capture_output=True, text=True, check=False, timeout=_COMMAND_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TransientError(
                "SYS.BROKER", f"rabbitmqctl {arguments[0]}: no answer in {_COMMAND_S:.0f} s"
            ) from error
        if done.returncode != 0:
            told = " ".join((done.stderr or done.stdout).split())
            raise TransientError("SYS.BROKER", f"rabbitmqctl {arguments[0]}: {told[-200:]}")
        return done.stdout

    def _known(self) -> _Place:
        if self._place is None:
            self._place = self._load_or_make()
        return self._place

    def _load_or_make(self) -> _Place:
        private.make_folder(self._folder)
        file = self._folder / "node.json"
        if file.exists():
            return _Place(**json.loads(file.read_text()))
        ports = free_ports(3)
        place = _Place(
            f"axis-{secrets.token_hex(4)}@localhost", ports[0], ports[1], ports[2], secrets.token_urlsafe(24)
        )
        private.write_secret(file, json.dumps({name: getattr(place, name) for name in _Place.__slots__}).encode())
        return place

    def _configure(self) -> None:
        place = self._known()
        for name in ("home", "mnesia", "log"):
            (self._folder / name).mkdir(exist_ok=True)
        private.write_secret(
            self._folder / "rabbitmq.conf",
            f"listeners.tcp.local = 127.0.0.1:{place.port}\n"
            f"default_user = {_USER}\n"
            f"default_pass = {place.password}\n"
            f"max_message_size = {topology.MOST_BYTES}\n"
            # Thousands of quorum queues hold 200 KiB each at rest.
            "vm_memory_high_watermark.relative = 0.4\n"
            f"raft.wal_max_size_bytes = {_log_bytes()}\n"
            "disk_free_limit.absolute = 200MB\n"
            "log.file.level = warning\n"
            "log.console = false\n".encode(),
        )
        (self._folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        place, folder = self._known(), self._folder
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),  # Holds the Erlang cookie.
            "RABBITMQ_NODENAME": place.name,
            "RABBITMQ_NODE_PORT": str(place.port),
            "RABBITMQ_DIST_PORT": str(place.dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "node.pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RUNNING_UNDER_SYSTEMD": "true",  # The script replaces itself by the node, so that the pid is the node's.
            # Schedulers that have nothing to do sleep at once: they share a small machine with everything else. RabbitMQ,
            # "Runtime Tuning", "Scheduler busy waiting".
            # RabbitMQ 3 sets three file handles aside for each quorum queue, which holds none at rest; where queues leave none,
            # it takes no further connection and says nothing. So its own count has no end; that of the system has.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
            # Each queue looks after itself every five seconds, and 6,600 of them take half a processor for it.
            f" -rabbit file_handles_high_watermark {_HANDLES} -rabbit quorum_tick_interval {_TICK_MS}",
            "ERL_EPMD_PORT": str(place.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _launch(self) -> int:
        """Launch the node; return its process id."""
        with (self._folder / "log" / "start.log").open("ab") as log:
            # A session of its own: a Ctrl-C meant for us must not reach the node before we have stopped it in order.
            node = subprocess.Popen(
                [str(_BIN / "rabbitmq-server")],
                env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self._folder,
            )  # fmt: skip
        turns.interrupt_nobody(node.pid)
        node.returncode = 0  # It may outlive us; whoever stops it goes by its pid file, not by this object.
        return node.pid

    def _is_ours(self, pid: int) -> bool:
        """Tell whether a process is the node: after a power cut another may have the number in the pid file."""
        try:
            return bytes(self._folder / "home") in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    async def _until_up(self, pid: int, began: float) -> None:
        """Wait until the node takes connections and commands; the latter it takes last, some hundredths of a second later.

        Raises:
            TransientError: SYS.BROKER; it has ended, or says no for too long.
        """
        while True:
            try:
                with ends_when_told():  # To close a connection may swallow it.
                    await self._ask()
            except TransientError as error:
                why = error
            else:
                return
            # On a busy machine it takes a while before it writes its pid file, and longer before it answers.
            if not _runs(pid):
                raise TransientError("SYS.BROKER", f"the node has ended; see {self._folder / 'log'}") from why
            if time.monotonic() - began > _START_S:
                told = f"{why.detail or 'no answer'}; see {self._folder / 'log'}"
                raise TransientError("SYS.BROKER", f"not up in {_START_S:.0f} s: {told}") from why
            await asyncio.sleep(0.2)

    async def _ask(self) -> None:
        """Ask the node for something by each of its two ways.

        Raises:
            TransientError: SYS.BROKER
        """
        try:
            with socket.create_connection(("127.0.0.1", self._known().port), timeout=0.5):
                pass
        except OSError as error:
            raise TransientError("SYS.BROKER") from error
        async with Broker.connect(self.url, name="axis start") as broker:
            await broker.ping()
        await self.ctl("await_startup")


def _log_bytes() -> int:
    """Return how long the log of the queues may become before each of them takes its part out of it.

    It is in memory meanwhile, twice at the worst, and 512 MiB where nothing is said. The less often it is full, the better:
    it costs each queue with anything in it a file of its own, which a circular to thousands has to wait for.
    """
    least, most = _LOG_BYTES
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(least, min(most, int(memory * _LOG_OF_MEMORY)))


def _runs(pid: int) -> bool:
    """Tell whether a process lives; a child of ours that ended is collected on the way."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass  # It is not our child.
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _has_ended(child: int) -> bool:
    """Tell whether a child of ours has ended; once it was collected its number may be another's."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # It has ended by itself.
        os.kill(pid, number)


async def _until_ended(pid: int, seconds: float) -> None:
    """Wait for the end of a process, for so long at most."""
    deadline = time.monotonic() + seconds
    while _runs(pid) and time.monotonic() < deadline:  # noqa: ASYNC110 - It need not be a child of ours.
        await asyncio.sleep(0.1)


def require_descriptors(offices: int) -> None:
    """Make sure that a node which we start could serve so many offices.

    Where descriptors are used up, a node takes no further connection and says so in its log alone: whoever connects waits.

    Raises:
        PermanentError: CFG.INVALID
    """
    needed, given = offices * _DESCRIPTORS_OF_AN_OFFICE, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if given != resource.RLIM_INFINITY and needed > given:
        raise PermanentError(
            "CFG.INVALID",
            f"a broker for {offices} offices needs {needed} file descriptors, and may have {given} (ulimit -n)",
        )


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now, that the system gives to no connection later, and that no other process draws.

    A node keeps its ports. While it is away, one from the range of outgoing connections may go to anybody: to an office
    that asks for the node, too, and so speaks to itself, and holds the port against the node.
    """
    first_given = _first_given()
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = _FIRST_PORT + secrets.randbelow(first_given - _FIRST_PORT)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                _claim(port)
                ports.append(port)
        return ports


def _claim(port: int) -> None:
    """Let no other process draw a port while this one lives, which may take a while to listen on it.

    By a name of the kernel's own (unix(7), abstract sockets): it ends with the process, and leaves nothing on a disk.

    Raises:
        OSError: Somebody has it.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0document-axis port {port}")
    except OSError:
        claim.close()
        raise
    claim.detach()  # Open until the process ends.


def _first_given() -> int:
    """Return the first port that the system gives to connections which ask for none."""
    try:
        told = int(_GIVEN.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _USUALLY_GIVEN
    return told if told >= 2 * _FIRST_PORT else _USUALLY_GIVEN
