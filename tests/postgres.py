"""A private PostgreSQL for tests: its own folder, its own port on loopback, and no trust in what the machine runs.

PostgreSQL refuses to run as root; where we are root it runs as `postgres`, the
account of Debian's package.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axis.broker.private_node import free_ports

_ACCOUNT = "postgres"
_USER = "axis"
_START_S = 30.0


def _programs() -> Path:
    """Return the folder of the newest installed version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError("postgresql is not installed: scripts/system-packages test")
    return found[-1].parent


def _name_in(url: str) -> str:
    """Return the name of a database; one without a URL is its own."""
    return url.rsplit("/", 1)[-1]


@dataclass(slots=True)
class PrivatePostgres:
    """One server under one folder, which the server's account can reach."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)  # More of them, by name.
    port: int = 0
    _server: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def make(self) -> None:
        """Make the cluster and start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, _ACCOUNT)
        self._run("initdb", "--pgdata", str(self._data), "--username", _USER, "--auth", "trust", "--encoding", "UTF8")
        (self.port,) = free_ports(1)
        self.start()

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(_programs() / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._account(),
            )
        deadline = time.monotonic() + _START_S
        while subprocess.run([*self._client("pg_isready")], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start; see {self.folder / 'server.log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server and its children at once, as a power cut would."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait(_START_S)

    def _end(self, number: signal.Signals) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(number)
            self._server.wait(_START_S)

    def new_database(self, like: str = "template1") -> str:
        """Make a database; return its URL for the ledger.

        Args:
            like: URL of the one whose copy it is, to which nobody is connected; empty where none is said.
        """
        name = f"axis_{secrets.token_hex(6)}"
        words = [*self._client("createdb"), "--template", _name_in(like), name]
        subprocess.run(words, check=True, capture_output=True)
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    @property
    def pid(self) -> int:
        """Process id of the server that was started."""
        assert self._server is not None
        return self._server.pid

    def run(self, url: str, statements: str) -> str:
        """Run statements in a session of their own; return what they print."""
        program, *place = self._client("psql")
        words = [program, *place, "--dbname", _name_in(url), "--command", statements]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _client(self, program: str) -> tuple[str, ...]:
        return (str(_programs() / program), "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(_programs() / program), *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            **self._account(),
        )

    def _account(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        account = pwd.getpwnam(_ACCOUNT)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
