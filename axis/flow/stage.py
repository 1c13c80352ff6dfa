"""Stage: one axis with its offices, for one flow.

The axis is the real one - ledger, spool, router, gateway, over a virtual host of
the broker that is this flow's alone - in this process, so that its time can be
moved on. Every flow has a province of its own: the same OrganIds may stand in
many flows, and none can see another's documents.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp

from axis import app, clock, edxml, private, receipts, registry, seal
from axis.broker import Broker, PrivateNode, topology
from axis.broker.definitions import definitions
from axis.dispatch.succession import Succession
from axis.errors import PermanentError, Refusal, Violation
from axis.flow.clerk import Clerk
from axis.flow.script import AXIS, Cast, Flow
from axis.ledger import DeliveryRow
from axis.office import OfficeSettings
from axis.receipts import Receipt, SignedReceipt
from axis.seal import pki
from axis.settings import Deadlines, Gateway, Router, Settings

_OWN = "flows"  # The account of the axis at the virtual hosts of flows.


@dataclass(frozen=True, slots=True)
class Answered:
    """What the axis has said to something that was handed in."""

    accepted: bool
    duplicate: bool
    receipt: Receipt | None  # Signed, and verified; None where the no had to do without.
    violations: tuple[Violation, ...]

    @property
    def envelope_id(self) -> str:
        """The axis's id of the envelope; "" where it was refused."""
        return "" if self.receipt is None else self.receipt.envelope_id


@dataclass(kw_only=True)
class Sent:
    """A message as the flow knows it."""

    name: str
    office: str
    message: edxml.Message | None  # None: bytes of which nobody knows what they are.
    sealed: bytes = b""  # As it was handed in; b"" if the office's own runtime has sealed it.
    submission_id: str = ""
    over_http: Answered | None = None

    @property
    def document(self) -> edxml.Document:
        """The message, of which a step says that it is a document.

        Raises:
            PermanentError: CFG.INVALID if it is something else.
        """
        if not isinstance(self.message, edxml.Document):
            raise PermanentError("CFG.INVALID", f"{self.name} is no document")
        return self.message

    @property
    def digests(self) -> frozenset[str]:
        """How receipts may name it."""
        with contextlib.suppress(Refusal):
            return frozenset({sha256(self.sealed).hexdigest(), seal.digest_of(edxml.parse(self.sealed))})
        return frozenset({sha256(self.sealed).hexdigest()})


@dataclass(kw_only=True)
class Stage:
    """What the steps of one flow work on."""

    flow: Flow
    folder: Path
    broker_url: str
    accounts: Mapping[str, str]  # The address of the broker by office.
    shift: clock.Shift
    rooms: app.Rooms
    gateway_url: str = ""
    http: aiohttp.ClientSession
    clerks: dict[str, Clerk] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    cast: dict[str, dict[str, Any]] = field(default_factory=dict)  # What the roll says of each office, by code.
    pipes: Broker | None = None  # While the router runs.
    _router: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _numbers: int = 0

    @property
    def trust_folder(self) -> Path:
        """Authorities, certificates, keys and the roll."""
        return self.folder / "trust"

    @property
    def succession(self) -> Succession:
        """What decides on the mail of closed offices, as a command of the operator opens it."""
        return self.rooms.succession(self.rooms.answers())

    def clerk(self, code: str) -> Clerk:
        """Return an office that runs in this flow."""
        return self.clerks[code]

    def next_number(self) -> int:
        """Return a document number that no document of the flow has."""
        self._numbers += 1
        return self._numbers

    # --- the axis -------------------------------------------------------------------------

    async def start_router(self) -> None:
        """Start what takes envelopes from the broker, and delivers."""
        self.pipes = await self._router.enter_async_context(app.router(self.rooms, self.broker_url))

    async def stop_router(self) -> None:
        """Stop it in order; what is in the broker waits there."""
        self.pipes = None
        await self._router.aclose()

    async def change_roll(self, code: str, fields: Mapping[str, Any]) -> None:
        """Change what the roll says of an office, and let everybody take it over, as `axis offices load` does.

        Raises:
            PermanentError: CFG.INVALID; the roll would not be loaded.
        """
        self.cast[code] = {**self.cast[code], **fields}
        _write_roll(self.trust_folder / "offices.toml", self.cast.values(), self.flow)
        before = registry.Registry.from_rows(await self.rooms.ledger.registry_rows())
        after = registry.load_offices(self.trust_folder / "offices.toml")
        wrong = [found.en for found in registry.check_replacement(before, after) if found.is_error]
        if wrong:
            raise PermanentError("CFG.INVALID", "; ".join(wrong))
        roll = registry.following(before, after)
        await self.rooms.ledger.load_registry(roll.to_rows(), roll.version, clock.now())
        await self.follow_trust()

    async def follow_trust(self) -> None:
        """Let the axis and the offices take over at once what they would take over within seconds."""
        await self.rooms.roll.refresh()
        if self.pipes is not None:
            await app.declare(self.pipes, self.rooms.roll()[0])
        for clerk in self.clerks.values():
            await clerk.follow_trust()

    # --- what became of it ----------------------------------------------------------------

    async def answered(self, sent: Sent) -> Answered | None:
        """Return what the axis has said to a message, or None if it has said nothing yet."""
        if sent.over_http is not None:
            return sent.over_http
        if sent.submission_id:
            submission = await self.clerk(sent.office).office.submission(sent.submission_id)
            if submission is None or not submission.ended or submission.receipt is None:
                return None
            sent.sealed = sent.sealed or (await self.rooms.ledger.sealed(submission.envelope_id or "") or b"")
            return self.answer_of(submission.receipt)
        digests = sent.digests
        heard = (one for one in reversed(self.clerk(sent.office).heard) if one.addressee is None)
        mine = next((one for one in heard if one.signed.receipt.envelope_digest in digests), None)
        return None if mine is None else self.answer_of(mine.xml)

    def answer_of(self, xml: bytes, *, duplicate: bool = False) -> Answered:
        """Return what a signed answer says.

        Raises:
            Refusal: It is not the axis's.
        """
        said = self.read(xml).receipt
        return Answered(said.level is receipts.Level.ACCEPTED, duplicate, said, said.violations)

    def read(self, xml: bytes) -> SignedReceipt:
        """Return a receipt, verified by the trust of this moment."""
        _, trust = self.rooms.roll()
        return receipts.read_receipt(xml, trust, at=clock.now() + timedelta(seconds=1), axis=AXIS)

    async def envelope_id(self, name: str) -> str:
        """Return the axis's id of a message; "" while it has none."""
        answered = await self.answered(self.sent[name])
        return "" if answered is None else answered.envelope_id

    async def document_id(self, name: str) -> str:
        """Return what a message calls itself; "" while nobody knows."""
        own = getattr(self.sent[name].message, "document_id", None)
        answered = await self.answered(self.sent[name]) if own is None else None
        said = None if answered is None else answered.receipt
        return own or ("" if said is None else said.document_id)

    async def delivery(self, name: str, office: str) -> DeliveryRow | None:
        """Return where a message stands with an addressee."""
        return await self.rooms.ledger.delivery(await self.envelope_id(name), office)

    async def said_about(self, name: str, office: str | None) -> list[SignedReceipt]:
        """Return the receipts on record about a message, verified; those that concern one addressee, if it is given."""
        rows = await self.rooms.ledger.receipts_of(await self.envelope_id(name))
        said = [self.read(row.xml) for row in rows]
        return [one for one in said if office is None or one.receipt.addressee in (None, office)]

    # --- as an office ---------------------------------------------------------------------

    def headers(self, code: str) -> dict[str, str]:
        """Return the headers with which an office calls the gateway."""
        token = seal.make_token(code, self.clerk(code).key, clock.now())
        return {"Authorization": f"Bearer {token}"}

    async def post(self, code: str, envelope: bytes) -> Answered:
        """Hand an envelope in over HTTP."""
        async with self.http.post(
            f"{self.gateway_url}/v1/envelopes", data=envelope, headers=self.headers(code)
        ) as answer:
            said = await answer.json()
        xml = said.get("receipt")
        if xml is None:
            return Answered(False, False, None, tuple(Violation(**one) for one in said.get("violations", ())))
        return self.answer_of(xml.encode(), duplicate=bool(said.get("duplicate")))

    async def publish(self, code: str, envelope: bytes) -> None:
        """Hand an envelope in over AMQP, past the office's runtime, which would refuse to send some things."""
        async with Broker.connect(self.accounts[code], name=f"flow {code}") as pipes:
            await pipes.publish(topology.office_exchange(code), "submit", envelope, type="envelope", user_id=code)

    async def bring(self, code: str, content: bytes) -> None:
        """Upload a file as an office."""
        url = f"{self.gateway_url}/v1/uploads/{sha256(content).hexdigest()}"
        async with self.http.put(url, data=content, headers=self.headers(code)) as answer:
            answer.raise_for_status()


# --- setting it up -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the offices of some flows need at the broker."""

    node: PrivateNode
    own: str  # Password of the axis.
    passwords: Mapping[str, str]  # By office code.
    vhosts: Mapping[Path, str]  # By file of the flow.
    migrating: asyncio.Lock = field(
        default_factory=asyncio.Lock
    )  # Alembic works for one ledger of a process at a time.

    def url(self, flow: Flow, code: str | None = None) -> str:
        """Return how an office, or the axis, connects for a flow."""
        user, password = (_OWN, self.own) if code is None else (code, self.passwords[code])
        return f"{self.node.url_of(user, password)}{self.vhosts[flow.file]}"


async def admit(flows: Sequence[Flow], node: PrivateNode, folder: Path) -> Accounts:
    """Make a virtual host for each flow, and an account for each office, by one call of the broker's tool.

    Raises:
        TransientError: SYS.BROKER
    """
    run = secrets.token_hex(3)
    passwords = {one.code: secrets.token_urlsafe(16) for flow in flows for one in flow.offices}
    accounts = Accounts(
        node,
        secrets.token_urlsafe(16),
        passwords,
        {flow.file: f"flow-{run}-{number}" for number, flow in enumerate(flows, 1)},
    )
    made = [
        definitions({one.code: passwords[one.code] for one in flow.offices}, vhost=accounts.vhosts[flow.file], own=(_OWN, accounts.own))
        for flow in flows
    ]  # fmt: skip
    users = {user["name"]: {**user, "limits": {}} for one in made for user in one["users"]}
    whole = {
        "vhosts": [vhost for one in made for vhost in one["vhosts"]],
        "users": list(users.values()),
        "permissions": [allowed for one in made for allowed in one["permissions"]],
    }
    file = folder / "accounts.json"
    private.write_secret(file, json.dumps(whole).encode())
    await node.ctl("import_definitions", str(file))
    return accounts


@asynccontextmanager
async def staged(flow: Flow, accounts: Accounts, folder: Path) -> AsyncIterator[Stage]:
    """Open the axis and the offices of a flow, at the time at which it begins.

    Raises:
        AxisError: CFG.INVALID; the roll of the flow is none.
    """
    shift = clock.Shift()
    if flow.starts_at is not None:
        shift.by = flow.starts_at.astimezone(UTC) - datetime.now(UTC)
    with clock.shifted(shift):
        private.make_folder(folder)
        cast = _cast(flow)
        await asyncio.to_thread(_furnish, flow, folder / "trust", cast.values())
        async with contextlib.AsyncExitStack() as stack:
            async with accounts.migrating:
                rooms = await stack.enter_async_context(app.open_rooms(_settings(flow, folder)))
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
            stage = Stage(
                flow=flow,
                folder=folder,
                broker_url=accounts.url(flow),
                accounts={one.code: accounts.url(flow, one.code) for one in flow.offices},
                shift=shift,
                rooms=rooms,
                http=http,
                cast=cast,
            )
            stack.push_async_callback(stage.stop_router)
            await stage.start_router()
            port = await stack.enter_async_context(app.http(rooms, rooms.ready))
            stage.gateway_url = f"http://127.0.0.1:{port}"
            stage.clerks = {one.code: _clerk(one, stage) for one in flow.connected}
            for clerk in stage.clerks.values():
                stack.push_async_callback(clerk.close)
            await asyncio.gather(*(clerk.open() for clerk in stage.clerks.values()))
            yield stage


def _cast(flow: Flow) -> dict[str, dict[str, Any]]:
    axis = {"code": AXIS, "name": "Trục liên thông (ví dụ)", "tier": registry.AXIS_TIER}
    return {AXIS: axis, **{one.code: one.roll for one in flow.offices}}


def _furnish(flow: Flow, folder: Path, cast: Any) -> None:
    """Make an authority, keys and certificates of this time, and write the roll."""
    now = clock.now()
    pki.init(folder, name="CA tỉnh (ví dụ)", now=now)
    for one in cast:
        pki.issue(folder, one["code"], name=one["name"], now=now)
    _write_roll(folder / "offices.toml", cast, flow)


def _settings(flow: Flow, folder: Path) -> Settings:
    given = dict(flow.settings)
    router = Router(**{"metrics_port": 0, **given.pop("router", {})})
    gateway = Gateway(**{"port": 0, **given.pop("gateway", {})})
    deadlines = dict(given.pop("deadlines", {}))
    if "calendar" in deadlines:  # It lies where the flow says, seen from the flow.
        deadlines["calendar"] = flow.file.parent / deadlines["calendar"]
    given["deadlines"] = Deadlines(**deadlines)
    return Settings(
        data=folder / "axis", trust=folder / "trust", organ_id=AXIS, router=router, gateway=gateway, **given
    )


def _clerk(one: Cast, stage: Stage) -> Clerk:
    trust = stage.trust_folder
    return Clerk(
        OfficeSettings(
            code=one.code,
            name=one.name,
            key=trust / "keys" / f"{one.code}.key.pem",
            certificate=trust / "certs" / f"{one.code}.pem",
            trust=trust,
            axis=AXIS,
            broker_url=stage.accounts[one.code],
            gateway_url=stage.gateway_url,
            state=stage.folder / "offices" / one.code,
        )
    )


def _write_roll(file: Path, cast: Any, flow: Flow) -> None:
    """Write the roll of a flow; its tiers are those that its offices have."""
    offices = list(cast)
    tiers = dict.fromkeys(one["tier"] for one in offices)
    lines = [f"[tiers.{tier}]\nname = {_toml(tier)}\nrank = {rank}\n" for rank, tier in enumerate(tiers)]
    for table, entries in (("offices", offices), ("groups", flow.groups), ("rules", flow.rules)):
        for one in entries:
            lines.append(f"[[{table}]]")
            lines += [f"{name} = {_toml(value)}" for name, value in one.items()]
            lines.append("")
    beside = file.with_suffix(".new")
    beside.write_text("\n".join(lines), encoding="utf-8")
    beside.replace(file)


def _toml(value: Any) -> str:
    """Write a value: strings and lists of JSON are TOML as well."""
    return value.isoformat() if isinstance(value, date) else json.dumps(value, ensure_ascii=False)
