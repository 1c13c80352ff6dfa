"""Settings: one frozen tree from `axis.toml` and the environment.

Every field says what it is, its unit is in its type, and an unknown key is an
error. Environment variables win over the file: `AXIS_LEDGER_URL`,
`AXIS_DISPATCH__ANSWER_WITHIN=PT30S`. Secrets are paths of files. Only `app`
and `cli` see this module; rooms are given the values they need.
"""

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from axis import deadlines
from axis.deadlines import Calendar, load_calendar, parse_term
from axis.errors import PermanentError


class _Branch(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gateway(_Branch):
    """HTTP for offices."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8700, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    certificate: Path | None = Field(
        None, description="Certificate that the gateway shows (PEM), to serve HTTPS itself; none: plain HTTP."
    )
    key: Path | None = Field(None, description="Private key of that certificate (PEM), without a passphrase.")
    authorities: Path | None = Field(
        None,
        description="Authorities (PEM) whose client certificates are asked for: `trust`/ca.pem; none: none is asked for.",
    )
    per_office: PositiveInt = Field(16, description="Requests of one office that are served at once; more get 429.")
    burst: PositiveInt = Field(5000, description="Requests that an office may make in one go; more get 429.")
    per_second: float = Field(
        500.0, gt=0, description="Requests of an office for each second, after its burst; by each gateway for itself."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if self.authorities is not None and self.certificate is None:
            raise ValueError("authorities need a certificate: client certificates are shown over TLS alone")
        return self

    @property
    def scheme(self) -> Literal["http", "https"]:
        """What its addresses begin with."""
        return "http" if self.certificate is None else "https"


class Router(_Branch):
    """The process that takes envelopes and receipts from the broker and dispatches deliveries."""

    metrics_host: str = Field("127.0.0.1", description="Address of /metrics and /healthz.")
    metrics_port: int = Field(8701, ge=0, le=65535, description="Port of /metrics and /healthz; 0 takes a free one.")
    batch: PositiveInt = Field(64, description="Envelopes that share one commit when they are there at once.")
    prefetch: PositiveInt = Field(128, description="Unacknowledged messages per queue.")
    burst: PositiveInt = Field(
        500, description="Envelopes that an office may hand in at once; what comes beyond is judged behind the others'."
    )
    per_second: float = Field(
        10.0,
        gt=0,
        description="Envelopes of an office for each second, after its burst, that are judged in their turn.",
    )


class Dispatch(_Branch):
    """The clock of deliveries: when to try, when to warn, when to give up."""

    poll: timedelta = Field(
        timedelta(milliseconds=100), description="How often the ledger is asked for due deliveries when nothing rings."
    )
    answer_within: timedelta = Field(
        timedelta(minutes=5),
        description="How long an office may be silent about a delivery before its inbox is looked at.",
    )
    waits: tuple[timedelta, ...] = Field(
        tuple(timedelta(seconds=s) for s in (10, 30, 120, 600, 1800, 3600)),
        min_length=1,
        description="Waits after the first, second, ... deferred attempt; the last one repeats.",
    )
    urgent_factor: float = Field(
        0.5, gt=0, le=1, description="What the waits are multiplied with for priority 2 and above."
    )
    spread: float = Field(0.2, ge=0, lt=1, description="Jitter, as a fraction of the wait.")
    lifetimes: tuple[timedelta, ...] = Field(
        (timedelta(days=5),) * 5,
        min_length=5,
        max_length=5,
        description="Life of a delivery since acceptance, by priority 0 to 4; then it expires.",
    )
    order_patience: timedelta = Field(
        timedelta(minutes=10),
        description="How long an order waits for the document that it speaks of; then it is refused.",
    )
    notices_after: tuple[timedelta, ...] = Field(
        (timedelta(hours=1), timedelta(hours=24)),
        description="Age at which the originator is told that a delivery waits.",
    )
    breaker_after: PositiveInt = Field(
        5, description="Failures in a row after which an office gets only one probe at a time."
    )
    batch: PositiveInt = Field(200, description="Deliveries attempted per round.")


class Webhooks(_Branch):
    """How offices are told at addresses of their own."""

    allow: tuple[str, ...] = Field(
        (), description="Hosts, addresses and networks (10.8.0.0/16) that webhooks may lead to though they are private."
    )
    plain_loopback: bool = Field(
        False, description="Let webhooks lead to this machine itself, also over http; for trials."
    )
    authorities: Path | None = Field(
        None, description="Certificates (PEM) of authorities that receivers may have beside the public ones."
    )
    timeout: timedelta = Field(timedelta(seconds=10), description="How long a receiver may take to answer.")
    waits: tuple[timedelta, ...] = Field(
        tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600)),
        min_length=1,
        description="Waits after the first, second, ... failure in a row; the last one repeats.",
    )
    give_up_after: timedelta = Field(
        timedelta(days=5), description="Nothing but failures for so long, and a webhook is disabled."
    )
    overlap: timedelta = Field(timedelta(days=1), description="How long the old secret signs beside a new one.")
    at_once: PositiveInt = Field(16, description="Webhooks that are told at the same time.")
    per_office: PositiveInt = Field(10, description="Webhooks that an office may have.")

    @field_validator("allow")
    @classmethod
    def _is_readable(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for one in listed:
            try:
                ip_network(one)
            except ValueError as error:
                if "/" in one or not re.fullmatch(r"[A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*", one):
                    raise ValueError(f"{one!r} is no host, address or network") from error
        return listed


_TERMS = "day, 3 days, 2 hours or 45 minutes of working time, 30 minutes clock, never; by priority 0 to 4."


class Deadlines(_Branch):
    """By when an office is to register what it has been given, and to be done with it."""

    calendar: Path | None = Field(
        None, description="Working hours and holidays, as config/calendar.toml; none: Monday to Friday, no holidays."
    )
    register_within: tuple[str, ...] = Field(
        ("day", "2 hours", "1 hour", "30 minutes clock", "30 minutes clock"),
        min_length=5,
        max_length=5,
        description=f"From custody to registration (03): {_TERMS}",
    )
    process_within: tuple[str, ...] = Field(
        ("never", "never", "2 days", "1 day", "1 day"),
        min_length=5,
        max_length=5,
        description="From custody to the end of the work (06), where the document gives no due date; written likewise.",
    )
    warn_register: tuple[timedelta, ...] = Field(
        tuple(timedelta(minutes=m) for m in (60, 30, 20, 10, 10)),
        min_length=5,
        max_length=5,
        description="How long before that the office is reminded to register, by priority.",
    )
    warn_process: tuple[timedelta, ...] = Field(
        tuple(timedelta(hours=h) for h in (24, 24, 4, 2, 2)),
        min_length=5,
        max_length=5,
        description="How long before that the office is reminded of the work, by priority.",
    )

    @field_validator("register_within", "process_within")
    @classmethod
    def _are_terms(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for one in written:
            parse_term(one)
        return written

    def table(self) -> deadlines.Deadlines:
        """Return the table that these settings are; reads the calendar.

        Raises:
            PermanentError: CFG.INVALID
        """
        return deadlines.Deadlines(
            calendar=Calendar() if self.calendar is None else load_calendar(self.calendar),
            register=tuple(map(parse_term, self.register_within)),
            process=tuple(map(parse_term, self.process_within)),
            warn_register=self.warn_register,
            warn_process=self.warn_process,
        )


class Limits(_Branch):
    """What is too much."""

    attachment_bytes: PositiveInt = Field(
        2 * 1024**3, le=2 * 1024**3, description="Largest file that is taken, in bytes."
    )
    keep_free_bytes: int = Field(
        1024**3,
        ge=0,
        description="What must stay free on the disk of `data`: with less, no attachment is taken, one that is coming is cut, "
        "and the answer is 503.",
    )


class Settings(BaseSettings):
    """Everything an administrator can set. See `config/axis.toml`."""

    model_config = SettingsConfigDict(
        env_prefix="AXIS_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        toml_file="axis.toml",
        nested_model_default_partial_update=True,
    )

    organ_id: str = Field("H56.TRUC", description="OrganId of the axis itself; it signs receipts with this name.")
    data: Path = Field(Path("var/axis"), description="Folder of everything that has no place of its own below.")
    ledger_url: str = Field(
        "", description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DB; default: SQLite in `data`."
    )
    ledger_password_file: Path | None = Field(None, description="File with the ledger's password, put into ledger_url.")
    spool_url: str = Field("", description="file:///DIR or s3://BUCKET/PREFIX; default: `data`/spool.")
    broker_url: str = Field(
        "", description="amqp(s)://USER:PASSWORD@HOST:PORT/VHOST; empty: a private node under `data`."
    )
    broker_password_file: Path | None = Field(None, description="File with the broker's password, put into broker_url.")
    trust: Path | None = Field(None, description="Folder with ca.pem, crl.pem and certs/; default: `data`/trust.")
    offices: Path | None = Field(None, description="The roll of offices; default: `trust`/offices.toml.")
    key: Path | None = Field(
        None, description="Private key of the axis (PEM); default: `trust`/keys/<organ_id>.key.pem."
    )
    certificate: Path | None = Field(
        None, description="Certificate of the axis (PEM); default: `trust`/certs/<organ_id>.pem."
    )
    require_fresh_crl: bool = Field(
        False, description="Refuse for now (transient) what cannot be checked against a fresh CRL."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe event that is written."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere."
    )
    gateway: Gateway = Gateway()
    router: Router = Router()
    dispatch: Dispatch = Dispatch()
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()
    webhooks: Webhooks = Webhooks()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def filled(self) -> Self:
        """Return the same settings with every default place spelled out, secrets read.

        Raises:
            PermanentError: CFG.INVALID; a secret cannot be read.
        """
        data = self.data.absolute()
        trust = (self.trust or data / "trust").absolute()
        return self.model_copy(
            update={
                "data": data,
                "trust": trust,
                "ledger_url": _with_password(self.ledger_url, self.ledger_password_file)
                or f"sqlite:///{data / 'ledger.sqlite'}",
                "spool_url": self.spool_url or f"file://{data / 'spool'}",
                "broker_url": _with_password(self.broker_url, self.broker_password_file),
                "offices": (self.offices or trust / "offices.toml").absolute(),
                "key": (self.key or trust / "keys" / f"{self.organ_id}.key.pem").absolute(),
                "certificate": (self.certificate or trust / "certs" / f"{self.organ_id}.pem").absolute(),
            }
        )


def _with_password(url: str, password_file: Path | None) -> str:
    """Put the password of the file into `scheme://user@host...`.

    Raises:
        PermanentError: CFG.INVALID
    """
    scheme, separator, rest = url.partition("://")
    if password_file is None or not separator or "@" not in rest:
        return url
    try:
        password = password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError("CFG.INVALID", f"{password_file}: {error}") from error
    user, place = rest.split("@", 1)
    return f"{scheme}://{user.split(':', 1)[0]}:{password}@{place}"
