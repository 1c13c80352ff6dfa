"""Settings of an office: who it is, where its keys lie, how it reaches the axis.

They come from the tables `[office]` and `[adapter]` of a TOML file, from the
environment, or from both; the environment wins, so that one file serves many
places. ENVIRONMENT says which variable sets which field; options of an adapter
are `AXIS_OFFICE_ADAPTER_<OPTION>`. Relative paths are below AXIS_OFFICE_ROOT,
or else below the file's folder. An unknown key is an error; secrets are paths.
"""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from axis.edxml.values import ORGAN_ID
from axis.errors import PermanentError

ENVIRONMENT = {
    "AXIS_OFFICE": "code",
    "AXIS_OFFICE_NAME": "name",
    "AXIS_OFFICE_KEY": "key",
    "AXIS_OFFICE_CERTIFICATE": "certificate",
    "AXIS_OFFICE_TRUST": "trust",
    "AXIS_OFFICE_STATE": "state",
    "AXIS_OFFICE_BROKER_PASSWORD_FILE": "broker_password_file",
    "AXIS_OFFICE_METRICS_HOST": "metrics_host",
    "AXIS_OFFICE_METRICS_PORT": "metrics_port",
    "AXIS_OFFICE_AT_ONCE": "at_once",
    "AXIS_OFFICE_ANSWER_WITHIN": "answer_within",
    "AXIS_OFFICE_HEARTBEAT": "heartbeat",
    "AXIS_LOG_LEVEL": "log_level",
    "AXIS_LOG_FORMAT": "log_format",
    "AXIS_ORGAN_ID": "axis",
    "AXIS_BROKER_URL": "broker_url",
    "AXIS_GATEWAY_URL": "gateway_url",
    "AXIS_GATEWAY_AUTHORITIES": "gateway_authorities",
    "AXIS_OFFICE_SHOW_CERTIFICATE": "show_certificate",
}
ADAPTER_PREFIX = "AXIS_OFFICE_ADAPTER_"
ROOT = "AXIS_OFFICE_ROOT"

_PATHS = ("key", "certificate", "trust", "state", "broker_password_file", "gateway_authorities")


class OfficeSettings(BaseModel):
    """What an office's process must know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(description="OrganId of the office in its canonical form; also its account at the broker.")
    name: str = Field("", description="The office's name, as it stands in envelopes that it sends.")
    key: Path = Field(description="The office's private key (PEM).")
    certificate: Path = Field(description="The certificate registered for it (PEM).")
    trust: Path = Field(
        description="Folder with ca.pem, crl.pem, and either offices.toml or certs/: whose seals are believed."
    )
    axis: str = Field("H56.TRUC", description="OrganId of the axis: who may sign what is the axis's to say.")
    broker_url: str = Field(description="amqp(s)://USER:PASSWORD@HOST:PORT/VHOST; the user is the office's code.")
    broker_password_file: Path | None = Field(None, description="File with the password, put into broker_url.")
    gateway_url: str = Field(description="http(s)://HOST:PORT of the axis's gateway, where attachments move.")
    gateway_authorities: Path | None = Field(
        None,
        description="Authorities (PEM) that may have issued the gateway's certificate; none: those that the machine knows.",
    )
    show_certificate: bool = Field(
        False, description="Show the office's certificate, beside its token, to a gateway or proxy that asks for one."
    )
    state: Path = Field(description="Folder for what the office must not forget; for one process at a time.")
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics, /healthz and /readyz.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of /metrics, /healthz and /readyz; 0: a free one; none: not served."
    )
    at_once: PositiveInt = Field(16, le=256, description="Documents that are worked on at the same time.")
    answer_within: timedelta = Field(
        timedelta(minutes=10),
        gt=timedelta(0),
        lt=timedelta(minutes=25),  # The broker takes a message back after 30 minutes.
        description="How long the office's system may take; after that the delivery is deferred.",
    )
    heartbeat: timedelta = Field(timedelta(seconds=30), gt=timedelta(0), description="How often the axis hears of us.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe event written.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal.")
    root: Path = Field(Path(), description="Where relative paths of an adapter begin.")
    adapter: dict[str, Any] = Field(default_factory=dict, description="`kind`, and the options of that adapter.")

    @field_validator("code", "axis")
    @classmethod
    def _is_organ_id(cls, code: str) -> str:
        if ORGAN_ID.fullmatch(code) is None:
            raise ValueError("not an OrganId")
        return code

    @classmethod
    def read(cls, environment: Mapping[str, str], file: Path | None = None) -> Self:
        """Return the settings of a file and the environment.

        Raises:
            PermanentError: CFG.INVALID, with every field that is wrong.
        """
        root = Path(environment.get(ROOT) or (Path() if file is None else file.parent)).absolute()
        fields, adapter = ({}, {}) if file is None else _from_file(file, root)
        fields |= {field: environment[name] for name, field in ENVIRONMENT.items() if environment.get(name)}
        adapter |= {
            name.removeprefix(ADAPTER_PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(ADAPTER_PREFIX)
        }
        try:
            return cls.model_validate({**fields, "adapter": adapter, "root": root})
        except ValidationError as error:
            raise PermanentError("CFG.INVALID", _problems(error)) from error

    @property
    def broker_account(self) -> str:
        """The broker's URL with the password in it.

        Raises:
            PermanentError: CFG.INVALID; the file cannot be read.
        """
        if self.broker_password_file is None:
            return self.broker_url
        try:
            password = self.broker_password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise PermanentError("CFG.INVALID", f"{self.broker_password_file}: {error.strerror}") from error
        scheme, rest = self.broker_url.split("://", 1)
        return f"{scheme}://{self.code}:{password}@{rest.rsplit('@', 1)[-1]}"


def _from_file(file: Path, root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of the office and the options of its adapter."""
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PermanentError("CFG.INVALID", f"{file}: {error}") from error
    fields, adapter = content.pop("office", {}), content.pop("adapter", {})
    if not (isinstance(fields, dict) and isinstance(adapter, dict)):
        raise PermanentError("CFG.INVALID", f"{file}: [office] and [adapter] are tables")
    if content:
        raise PermanentError("CFG.INVALID", f"{file}: unknown tables {', '.join(sorted(content))}")
    for name in _PATHS:
        if isinstance(fields.get(name), str):
            fields[name] = root / fields[name]
    return fields, adapter


def _problems(error: ValidationError) -> str:
    variables = {field: name for name, field in ENVIRONMENT.items()}
    lines = []
    for one in error.errors():
        place = ".".join(map(str, one["loc"]))
        also = f" ({variables[place]})" if place in variables else ""
        lines.append(f"{place}{also}: {one['msg']}")
    return "; ".join(lines)
