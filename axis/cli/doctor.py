"""`axis doctor`: is this machine fit to run the axis, and is the axis well?"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import typer
from cryptography import x509

from axis import clock, ledger, registry, seal, spool
from axis.app import gateway_tls
from axis.broker import Broker, PrivateNode
from axis.cli import options, output
from axis.errors import AxisError, PermanentError, TransientError
from axis.gateway.tls import believing
from axis.settings import Settings

_FREE_BYTES = 2 * 1024**3
_EXPIRES_SOON_DAYS = 30
_OLD_CRL = timedelta(days=1)
_REACHED = timedelta(days=30)  # A deadline that begins now may well be then.
_GOOD, _ODD, _BAD = "good", "odd", "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str  # good, odd, bad.
    text: str
    remedy: str = ""


def doctor(json: options.Json = False, data: options.Data = None) -> None:
    """Look at settings, calendar, trust, certificates, HTTPS, roll, ledger, spool, disk, broker and gateway, and say what to do.

    Exit code: 0 if nothing is bad, 1 if something is.

    Example: axis doctor --data var/axis
    """

    async def look() -> list[Check]:
        settings = options.settings(data).filled()
        return [check async for check in _checks(settings)]

    checks = output.run(look())
    if json:
        output.as_json([asdict(check) for check in checks])
    else:
        style = {_GOOD: "green", _ODD: "yellow", _BAD: "red"}
        for check in checks:
            output.console.print(
                f"{check.state:>5}  {check.name}: {check.text}", style=style[check.state], markup=False
            )
            if check.remedy:
                output.console.print(f"       → {check.remedy}", markup=False)
    if any(check.state == _BAD for check in checks):
        raise typer.Exit(output.REFUSED)


async def _checks(settings: Settings) -> AsyncIterator[Check]:
    yield _disk(settings.data)
    yield _calendar(settings)
    for check in (*_trust(settings), *_https(settings)):
        yield check
    yield await _ledger(settings)
    yield await _spool(settings)
    yield await _broker(settings)
    yield await _gateway(settings)


def _disk(data: Path) -> Check:
    place = data
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / 1024**3:.1f} GiB free at {data}"
    return (
        Check("disk", _GOOD, text)
        if free > _FREE_BYTES
        else Check("disk", _BAD, text, "make room: intake stops when the disk is full")
    )


def _calendar(settings: Settings) -> Check:
    """Look whether deadlines know the holidays of now and of the days that they reach."""
    try:
        table = settings.deadlines.table()
    except AxisError as error:
        return Check("calendar", _BAD, str(error), "compare it with config/calendar.toml")
    if settings.deadlines.calendar is None:
        return Check("calendar", _ODD, "none is given: Monday to Friday, no holidays", "set deadlines.calendar")
    reached = (clock.now() + _REACHED).astimezone(clock.VIETNAM).year
    known = sum(day.year == reached for day in table.calendar.holidays)
    text = f"{known} holidays of {reached}"
    return (
        Check("calendar", _GOOD, text) if known else Check("calendar", _ODD, text, "enter them, and restart the axis")
    )


def _trust(settings: Settings) -> list[Check]:
    folder, offices = settings.trust or Path(), settings.offices or Path()
    checks = []
    try:
        authorities, crls = seal.load_authorities(folder)
    except AxisError as error:
        is_made = (folder / "ca.pem").exists()
        remedy = "put that file there again, whole" if is_made else f"make a CA with: axis pki init {folder}"
        return [Check("trust", _BAD, str(error), remedy)]
    checks.append(Check("trust", _GOOD, f"{len(authorities)} authorities, {len(crls)} revocation lists"))
    now = clock.now()
    for crl in crls:
        if crl.next_update_utc is not None and crl.next_update_utc + _OLD_CRL < now:
            checks.append(
                Check(
                    "revocation list",
                    _ODD,
                    f"of {crl.issuer.rfc4514_string()}: out of date since {crl.next_update_utc:%Y-%m-%d}",
                    f"axis pki crl {folder}; of another authority, bring its new one",
                )
            )
    roll, findings = registry.check_offices(offices)
    if roll is None or any(found.is_error for found in findings):
        checks.append(Check("roll", _BAD, f"{offices} has errors", f"axis offices check {offices}"))
        return checks
    checks.append(Check("roll", _GOOD, f"{len(roll.offices())} offices"))
    for office in roll.offices():
        left = seal.days_left(office.certificates, now) if office.certificates else None
        if left is not None and left < _EXPIRES_SOON_DAYS:
            state = _BAD if left <= 0 else _ODD
            checks.append(
                Check(
                    "certificate",
                    state,
                    f"{office.code}: {left:.0f} days left",
                    f"axis pki issue {folder} {office.code}",
                )
            )
    try:
        seal.SigningKey.load(settings.key or Path(), settings.certificate or Path())
        checks.append(Check("key of the axis", _GOOD, settings.organ_id))
    except AxisError as error:
        checks.append(Check("key of the axis", _BAD, str(error), f"axis pki issue {folder} {settings.organ_id}"))
    return checks


def _https(settings: Settings) -> list[Check]:
    """Look at what the gateway shows, if it serves HTTPS itself, and whose client certificates it asks for."""
    place = settings.gateway
    try:
        tls = gateway_tls(place)
        if tls is None:
            return []
        asked = set() if place.authorities is None else set(seal.load_certificates(place.authorities))
        unknown = asked and asked - set(seal.load_authorities(settings.trust or Path())[0])
    except AxisError as error:
        return [Check("HTTPS", _BAD, str(error), "axis gateway will not start so: compare with docs/deploy.md, HTTPS")]
    shown, now = tls.shown, clock.now()
    left = (shown.not_valid_after_utc - now) / timedelta(days=1)
    hosts = _hosts(shown)
    state, remedy = _GOOD, ""
    if not hosts or now < shown.not_valid_before_utc or left <= 0:
        state, remedy = _BAD, "nobody will believe it: put another in its place, the gateway takes it over by itself"
    elif left < _EXPIRES_SOON_DAYS:
        state, remedy = _ODD, "put its successor in its place, the gateway takes it over by itself"
    elif unknown:
        state, remedy = _ODD, "gateway.authorities has some that are not in the trust: who shows theirs is refused"
    text = (
        f"for {', '.join(hosts) or 'no host'}, {left:.0f} days left; asks for certificates of {len(asked)} authorities"
    )
    return [Check("HTTPS", state, text, remedy)]


def _hosts(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for: nobody looks at its subject any more."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


async def _ledger(settings: Settings) -> Check:
    path = settings.ledger_url.removeprefix("sqlite:///")
    if path != settings.ledger_url and not Path(path).exists():
        return Check("ledger", _ODD, "not made yet", "it is made by the first axis up, router or gateway")
    try:
        async with ledger.Ledger.open(settings.ledger_url) as book:
            report = await book.audit(clock.now())
    except AxisError as error:
        remedy = "is the database running, and the address right?" if isinstance(error, TransientError) else ""
        return Check("ledger", _BAD, str(error), remedy)
    text = f"{report.documents} documents, {report.waiting} deliveries wait, {report.dead} dead letters, {report.held} held, {len(report.findings)} findings"
    if report.findings:
        return Check("ledger", _BAD, text, "axis audit")
    if report.dead:
        return Check("ledger", _ODD, text, "axis deadletters list")
    return Check("ledger", _ODD, text, "axis held list") if report.held else Check("ledger", _GOOD, text)


async def _spool(settings: Settings) -> Check:
    try:
        async with spool.Spool.open(settings.spool_url, settings.data / "staging") as store:
            await store.ping()
            used = await store.used_bytes()
    except AxisError as error:
        return Check("spool", _BAD, str(error), "is the folder writable, or the bucket reachable?")
    return Check("spool", _GOOD, f"{used / 1024**2:.1f} MiB of attachments")


@asynccontextmanager
async def _pipes(settings: Settings) -> AsyncIterator[Broker]:
    url = settings.broker_url or PrivateNode(settings.data / "broker").url
    async with Broker.connect(url, name="axis doctor") as pipes:
        yield pipes


async def _broker(settings: Settings) -> Check:
    kind = "the broker of AXIS_BROKER_URL" if settings.broker_url else "the private node"
    if not settings.broker_url and not (settings.data / "broker" / "node.json").exists():
        found = Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists()
        text = "no broker is given; rabbitmq-server is " + (
            "installed, axis up will start a private node" if found else "not installed"
        )
        return Check("broker", _GOOD if found else _BAD, text, "" if found else "scripts/system-packages run")
    try:
        async with _pipes(settings) as pipes:
            await pipes.ping()
    except PermanentError as error:
        return Check("broker", _BAD, str(error))
    except AxisError as error:
        return Check("broker", _ODD, f"{kind} does not answer: {error.code}", "start it: axis up")
    return Check("broker", _GOOD, f"{kind} answers")


async def _gateway(settings: Settings) -> Check:
    file = settings.data / "gateway.address"
    place = settings.gateway
    address = file.read_text().strip() if file.exists() else f"{place.scheme}://{place.host}:{place.port}"
    try:
        tls = True if place.certificate is None else believing(place.certificate)
        async with httpx.AsyncClient(timeout=5, verify=tls) as http:
            answer = await http.get(f"{address}/readyz")
    except AxisError as error:
        return Check("gateway", _BAD, str(error))
    except httpx.HTTPError:
        return Check("gateway", _ODD, f"does not answer at {address}", "start it: axis up, or axis gateway")
    state = _GOOD if answer.status_code == 200 else _BAD
    return Check("gateway", state, f"{address} " + ", ".join(f"{room} {word}" for room, word in answer.json().items()))
