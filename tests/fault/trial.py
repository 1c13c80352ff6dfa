"""Trial: an axis and three offices at work while something is done to them, and the reckoning afterwards.

What must hold however it went (docs/promises.md): every document that the
sender has noted is accepted; every delivery ends as delivered; each addressee's
register holds each document once; the sender has heard every receipt; and the
ledger keeps its promises, as `axis audit` sees them.
"""

import asyncio
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from axis import clock, registry
from axis.broker import PrivateNode
from axis.seal import pki
from tests.fault.journal import lines
from tests.laboratory import Laboratory, axis
from tests.postgres import PrivatePostgres

AXIS, SENDER, ADDRESSEES = "H56.TRUC", "H56.05", ("H56.112", "H56.113")
_ROLL = Path(__file__).parents[2] / "config" / "offices.toml"
_READY_S = 60.0
_ROUTER = re.compile(r"^router (\d+): process (\d+)$", re.MULTILINE)
_METRICS = re.compile(r"^router: ready; metrics on port (\d+)$", re.MULTILINE)
_SHOWN = ("level", "event", "code", "codes", "error")  # Of what a process says.
_HEARD = Counter({"accepted": 1, "delivered": len(ADDRESSEES), "registered": len(ADDRESSEES)})


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What became of the documents of a trial."""

    documents: int
    lost: int  # Registered nowhere, or not at every addressee.
    doubled: int  # Registered twice.
    asked_twice: int  # Given to an addressee's system again, which knew them.
    unheard: int  # Whose receipts the sender has not all heard.
    unrefused: int  # Hostile envelopes that were not refused, or refusals of others.
    findings: tuple[str, ...]  # Of axis audit.
    recovered_s: float  # From the last fault until everything had ended.

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.unheard or self.unrefused or self.findings)


@dataclass(slots=True)
class Trial:
    """A laboratory with an axis and three offices in it."""

    folder: Path
    documents: int
    postgres: PrivatePostgres | None = None  # The ledger is in SQLite without it.
    routers: int = 1  # Above 1: each a process of its own.
    hostile: bool = False  # For every fourth document the sender hands in something that must be refused.
    laboratory: Laboratory = field(init=False)
    ledger_url: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.laboratory = Laboratory(self.folder)

    @property
    def data(self) -> Path:
        """Data folder of the axis."""
        return self.folder / "axis"

    @property
    def node(self) -> PrivateNode:
        """The private node of the axis."""
        return PrivateNode(self.data / "broker")

    def place(self, code: str) -> Path:
        """Folder of an office."""
        return self.folder / code

    def make_keys(self) -> None:
        """Make the authority and everybody's keys."""
        trust = self.data / "trust"
        pki.init(trust, name="CA (ví dụ)", now=clock.now())
        shutil.copy(_ROLL, trust / "offices.toml")
        names = registry.load_offices(trust / "offices.toml").by_code
        for code in (AXIS, SENDER, *ADDRESSEES):
            pki.issue(trust, code, name=names[code].name, now=clock.now())

    async def start_axis(self) -> None:
        """Start broker, router and gateway; a broker that is there is used."""
        await self.laboratory.start(
            "axis",
            *axis("up", "--routers", str(self.routers)),
            more={
                "AXIS_DATA": str(self.data),
                "AXIS_LOG_FORMAT": "json",
                "AXIS_GATEWAY__PORT": self._port(),
                "AXIS_ROUTER__METRICS_PORT": "0",
                "AXIS_DISPATCH__WAITS": '["PT1S", "PT2S"]',
                "AXIS_DISPATCH__ANSWER_WITHIN": "PT5S",
                **self._ledger,
            },
        )
        async with asyncio.timeout(_READY_S):
            while not await self.is_ready():  # noqa: ASYNC110 - Another process comes up.
                await asyncio.sleep(0.1)

    def router_address(self) -> str:
        """Return where the router serves its metrics."""
        log = (self.folder / "logs" / "axis.log").read_text(errors="replace")
        return f"http://127.0.0.1:{_METRICS.findall(log)[-1]}"

    def router_pids(self) -> list[int]:
        """Return the processes of routers that run beside `axis up`, in their order."""
        log = (self.folder / "logs" / "axis.log").read_text(errors="replace")
        return [int(pid) for _, pid in sorted(dict(_ROUTER.findall(log)).items())]

    @property
    def _ledger(self) -> dict[str, str]:
        return {"AXIS_LEDGER_URL": self.ledger_url} if self.ledger_url else {}

    def _port(self) -> str:
        """The gateway keeps its port when it is started again: offices have been told where it is."""
        file = self.data / "gateway.address"
        return file.read_text().rsplit(":", 1)[-1] if file.exists() else "0"

    async def is_ready(self) -> bool:
        """Whether the axis of now answers."""
        file = self.data / "gateway.address"
        if not file.exists():
            return False
        try:
            async with httpx.AsyncClient(timeout=5) as http:
                return (await http.get(f"{file.read_text()}/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def start_office(self, code: str) -> None:
        """Start an office, with the state that it had."""
        place, trust = self.place(code), self.data / "trust"
        place.mkdir(exist_ok=True)
        arguments = (str(self.documents), ",".join(ADDRESSEES)) if code == SENDER else ()
        await self.laboratory.start(
            code,
            sys.executable,
            "-m",
            "tests.fault.office",
            *arguments,
            more={
                "TRIAL_FOLDER": str(place),
                "TRIAL_HOSTILE": "1" if self.hostile else "",
                "AXIS_OFFICE": code,
                "AXIS_OFFICE_KEY": str(trust / "keys" / f"{code}.key.pem"),
                "AXIS_OFFICE_CERTIFICATE": str(trust / "certs" / f"{code}.pem"),
                "AXIS_OFFICE_TRUST": str(trust),
                "AXIS_OFFICE_STATE": str(place / "state"),
                "AXIS_OFFICE_BROKER_PASSWORD_FILE": str(self.data / "secrets" / code),
                "AXIS_BROKER_URL": f"amqp://{(self.data / 'broker.address').read_text()}/",
                "AXIS_GATEWAY_URL": (self.data / "gateway.address").read_text(),
                "AXIS_LOG_FORMAT": "json",
            },
        )

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it wrote."""
        process = await asyncio.create_subprocess_exec(
            *words,
            env={**self.laboratory.base, "AXIS_DATA": str(self.data), **self._ledger},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def audit(self) -> dict[str, Any]:
        """Return what `axis audit` says, a program of its own."""
        code, out = await self.command(*axis("audit", "--json"))
        if code not in (0, 1):
            raise RuntimeError(f"axis audit: exit code {code}")
        report: dict[str, Any] = json.loads(out)
        return report

    # --- waiting and reckoning ----------------------------------------------------------

    def sent(self) -> list[str]:
        """Documents that the sender has noted."""
        return lines(self.place(SENDER) / "sent")

    def unheard(self) -> int:
        """Documents of which the sender has not heard every receipt."""
        heard: dict[str, Counter[str]] = {}
        for line in set(lines(self.place(SENDER) / "receipts")):
            level, document_id, _ = line.split("\t")
            heard.setdefault(document_id, Counter())[level] += 1
        return sum(not heard.get(one, Counter()) >= _HEARD for one in self.sent())

    async def until(self, done: int) -> None:
        """Wait until so many documents have been sent."""
        async with asyncio.timeout(_READY_S):
            while len(self.sent()) < done:  # noqa: ASYNC110 - Another process writes it.
                await asyncio.sleep(0.05)

    async def settle(self, *, within_s: float) -> float:
        """Wait until everything has been sent, has ended and was heard of; return how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            if len(self.sent()) >= self.documents and not self.unheard():
                report = await self.audit()
                refused = int(report["rejections"]) >= len(lines(self.place(SENDER) / "hostile"))
                if report["terminal"] == report["deliveries"] and not report["notices_waiting"] and refused:
                    break
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    def told(self) -> str:
        """Return what the processes complained of, each kind once with its number: where to look when a trial fails."""
        kinds: Counter[tuple[str, ...]] = Counter()
        for log in sorted((self.folder / "logs").glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                event = json.loads(line) if line.startswith("{") else {"event": line, "level": "text"}
                if event.get("level") not in ("debug", "info") or event["event"] == "envelope.rejected":
                    kinds[log.stem, *(str(event[key]) for key in _SHOWN if key in event)] += 1
        return "\n".join(f"{number:6} {' '.join(kind)}" for kind, number in kinds.most_common(60))

    async def reckon(self, recovered_s: float) -> Reckoning:
        """Compare the books of all sides."""
        report = await self.audit()
        registers = [lines(self.place(code) / "register") for code in ADDRESSEES]
        calls = [lines(self.place(code) / "calls") for code in ADDRESSEES]
        return Reckoning(
            documents=len(self.sent()),
            lost=sum(len(self.sent()) - len(set(register)) for register in registers),
            doubled=sum(len(register) - len(set(register)) for register in registers),
            asked_twice=sum(len(called) - len(set(called)) for called in calls),
            unheard=self.unheard(),
            unrefused=abs(len(lines(self.place(SENDER) / "hostile")) - int(report["rejections"])),
            findings=tuple(str(one) for one in report["findings"]),
            recovered_s=recovered_s,
        )


@asynccontextmanager
async def trial(
    folder: Path, documents: int, *, on_postgresql: bool = False, routers: int = 1, hostile: bool = False
) -> AsyncIterator[Trial]:
    """Start everything; stop everything that was started, broker and database too."""
    place = Path(tempfile.mkdtemp(prefix="axis-trial-postgres-")) if on_postgresql else None
    made = Trial(folder, documents, None if place is None else PrivatePostgres(place), routers, hostile)
    folder.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(made.make_keys)
    try:
        if made.postgres is not None:
            await asyncio.to_thread(made.postgres.make)
            made.ledger_url = await asyncio.to_thread(made.postgres.new_database)
        await made.start_axis()
        await asyncio.sleep(1)  # RabbitMQ 3.10 puts the names of its queues on the disk every half second.
        for code in (*ADDRESSEES, SENDER):
            await made.start_office(code)
        yield made
    finally:
        await made.laboratory.stop_all()
        await made.node.stop()
        if made.postgres is not None:
            await asyncio.to_thread(made.postgres.stop)
            shutil.rmtree(made.postgres.folder, ignore_errors=True)
