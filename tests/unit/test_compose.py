"""The deployment as one thing: what one file says of another is true, in the order in which the services start.

`test_deployment` holds each file against the code; here they are held against
each other.
"""

import configparser
import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from axis import registry
from axis.broker import topology
from axis.cli.main import root
from axis.dispatch.states import State
from axis.edxml.limits import MAX_ENVELOPE_BYTES
from axis.office import metrics as office_metrics
from axis.office.settings import OfficeSettings
from axis.receipts import Level
from axis.receipts.model import MAX_RECEIPT_BYTES
from axis.settings import Settings
from axis.telemetry import metrics

pytestmark = pytest.mark.xdist_group("compose")  # What setup.sh makes takes seconds, and is made once.

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config"
SETUP = CONFIG / "compose" / "setup.sh"
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AXIS = ("router", "gateway")
OFFICES = tuple(name for name in SERVICES if name.startswith("office-"))
UNITS = sorted((CONFIG / "systemd").glob("*.service"))

# What images of others listen on; ours say it in their settings.
_FOREIGN_PORTS = {"rabbitmq": {5672, 15672, 15692}, "postgres": {5432}, "prometheus": {9090}, "grafana": {3000}}
_DEFAULT_PORTS = {"amqp": 5672, "postgresql": 5432}


def _command(words: list[str]) -> Any:
    """Return the command that these words call, having checked that it takes their options."""
    command: Any = typer.main.get_command(root())
    while words and (inner := getattr(command, "commands", {}).get(words[0])) is not None:
        command, words = inner, words[1:]
    command.make_parser(command.context_class(command)).parse_args(list(words))
    return command


def _settings(name: str, monkeypatch: pytest.MonkeyPatch, place: Path) -> Settings:
    """Return what `axis router` or `axis gateway` reads in its container."""
    monkeypatch.chdir(place)
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    return Settings()


def _office_file(name: str) -> Path:
    (file,) = [volume.split(":")[0] for volume in SERVICES[name]["volumes"] if volume.startswith("./config/offices")]
    return REPOSITORY / str(file)


def _office(name: str) -> OfficeSettings:
    return OfficeSettings.read(SERVICES[name]["environment"], _office_file(name))


# --- who waits for whom, who reaches whom --------------------------------------------------


def test_services_wait_for_what_can_come() -> None:
    waits = {name: one.get("depends_on", {}) for name, one in SERVICES.items()}
    TopologicalSorter(waits).prepare()  # Nobody waits for himself, by whatever way round.
    for name, others in waits.items():
        for other, how in others.items():
            ends = SERVICES[other].get("restart") == "no"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)


def test_nobody_but_setup_writes_keys_and_passwords() -> None:
    mounted = {
        name: volume for name, one in SERVICES.items() for volume in one.get("volumes", ()) if "province:" in volume
    }
    assert {name for name, volume in mounted.items() if not volume.endswith(":ro")} == {"setup"}


def test_files_of_the_repository_are_mounted_to_be_read() -> None:
    volumes = [volume for one in SERVICES.values() for volume in one.get("volumes", ())]
    assert [volume for volume in volumes if volume.startswith(".") and not volume.endswith(":ro")] == []
    assert {volume.split(":")[0] for volume in volumes if not volume.startswith(".")} == set(COMPOSE["volumes"])


def test_each_office_has_a_state_of_its_own() -> None:
    places = [volume for name in OFFICES for volume in SERVICES[name]["volumes"] if ":/var/lib/axis" in volume]
    assert len(places) == len(set(places)) == len(OFFICES)


def test_addresses_name_a_service_and_its_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = _settings("gateway", monkeypatch, tmp_path)
    ports = {**_FOREIGN_PORTS, "gateway": {settings.gateway.port}}
    sources = yaml.safe_load((CONFIG / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    told = {
        value
        for one in SERVICES.values()
        for variable, value in one.get("environment", {}).items()
        if variable.endswith("_URL") and not value.startswith("file:")
    } | {source["url"] for source in sources["datasources"]}
    assert len(told) >= 4
    for url in told:
        parts = urlsplit(url)
        assert (parts.port or _DEFAULT_PORTS[parts.scheme]) in ports[str(parts.hostname)], url


@pytest.mark.parametrize("name", AXIS)
def test_what_prometheus_asks_is_not_on_loopback(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = _settings(name, monkeypatch, tmp_path)
    asked = settings.router.metrics_host if name == "router" else settings.gateway.host
    assert asked == "0.0.0.0"  # noqa: S104 - In a container.


@pytest.mark.parametrize("name", OFFICES)
def test_what_prometheus_asks_of_an_office_is_not_on_loopback(name: str) -> None:
    assert _office(name).metrics_host == "0.0.0.0"  # noqa: S104 - In a container.


def test_offices_are_of_the_roll_and_have_their_own_keys() -> None:
    roll = registry.load_offices(CONFIG / "offices.toml")
    codes = [_office(name).code for name in OFFICES]
    assert len(codes) == len(set(codes))
    for name, code in zip(OFFICES, codes, strict=True):
        office = _office(name)
        assert roll.by_code[code].status == "active"
        assert {office.key.name, office.certificate.name} == {f"{code}.key.pem", f"{code}.pem"}
        assert office.broker_password_file == Path("/province/secrets") / code


def test_database_is_healthy_over_tcp() -> None:
    # On its socket it answers already while it makes the database, before it starts again.
    test = SERVICES["postgres"]["healthcheck"]["test"]
    assert test[test.index("-h") + 1] == "127.0.0.1"


# --- setup.sh ----------------------------------------------------------------------------


def _setup_commands() -> Iterator[list[str]]:
    text = SETUP.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"(?:^|\|\| |\s)(axis (?:[a-z].*))$", re.sub(r"(?m)^\s*#.*$", "", text), re.M):
        words = shlex.split(line)
        yield words[1 : words.index(">")] if ">" in words else words[1:]


def test_setup_is_shell() -> None:
    for shell in ("sh", "dash"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", str(SETUP)], check=True, timeout=10)


def test_setup_calls_commands_that_exist() -> None:
    called = [_command(words).name for words in _setup_commands()]
    assert called == ["init", "issue", "crl", "check", "definitions"]


def _furnished(place: Path) -> Path:
    """Put the sample roll where setup.sh looks for it."""
    (place / "config").mkdir()
    shutil.copy(CONFIG / "offices.toml", place / "config")
    return place


def _set_up(place: Path) -> Path:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PROVINCE": str(place / "province"),
        "CONFIG": str(place / "config"),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["sh", str(SETUP)], env=environment, check=False, capture_output=True, text=True, timeout=280, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place / "province"


def _kept(province: Path) -> dict[str, bytes]:
    """What must never change by itself: every key, every certificate, every password."""
    return {
        str(file.relative_to(province)): file.read_bytes()
        for part in ("trust/keys", "trust/certs", "secrets")
        for file in (province / part).iterdir()
    } | {"authority": (province / "trust" / "ca.pem").read_bytes()}


def test_setup_run_again_keeps_what_there_is_and_makes_what_is_missing(tmp_path: Path) -> None:
    place = _furnished(tmp_path)
    province = _set_up(place)
    first = _kept(province)
    (province / "secrets" / "H56.112").unlink()
    for code in ("H56.112.pem", "H56.112.key.pem"):
        next((province / "trust").glob(f"*/{code}")).unlink()
    _set_up(place)
    second = _kept(province)
    assert set(first) == set(second)
    assert {name for name in first if first[name] != second[name]} == {
        "secrets/H56.112",
        "trust/certs/H56.112.pem",
        "trust/keys/H56.112.key.pem",
    }
    answer = CliRunner().invoke(root(), ["offices", "check", str(province / "trust" / "offices.toml"), "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.output)["good"]


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What setup.sh makes the first time, to be looked at."""
    return _set_up(_furnished(tmp_path_factory.mktemp("province")))


def test_setup_makes_accounts_that_can_do_what_they_must_and_no_more(province: Path) -> None:
    made = json.loads((province / "definitions.json").read_text(encoding="utf-8"))
    roll = registry.load_offices(province / "trust" / "offices.toml")
    offices = {office.code for office in roll.offices() if office.tier != "axis"}
    assert {user["name"]: user["tags"] for user in made["users"]} == {
        **dict.fromkeys({"axis", *offices}, ""),
        "watcher": "monitoring",
    }
    rights = {one["user"]: (one["configure"], one["write"], one["read"]) for one in made["permissions"]}
    wanted = {code: topology.permissions(code) for code in offices}
    assert rights == {
        "axis": (".*", ".*", ".*"),
        **{code: (right.configure, right.write, right.read) for code, right in wanted.items()},
    }
    text = (province / "definitions.json").read_text(encoding="utf-8")
    secrets = {file.name: file.read_text(encoding="ascii") for file in (province / "secrets").iterdir()}
    assert set(secrets) == {"axis", "watcher", *offices}
    assert [name for name, secret in secrets.items() if secret in text] == []


def test_setup_leaves_no_secret_to_be_read_by_others(province: Path) -> None:
    files = [*(province / "secrets").iterdir(), *province.rglob("*key.pem")]
    assert len(files) >= 8
    assert [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077] == []


def test_broker_finds_the_accounts_where_setup_leaves_them() -> None:
    lines = (CONFIG / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8").splitlines()
    said = dict(line.split(" = ", 1) for line in lines if line and not line.startswith("#"))
    assert said["load_definitions"] == "/province/definitions.json"
    assert said["default_queue_type"] == "quorum"
    assert int(said["max_message_size"]) == topology.MOST_BYTES == MAX_RECEIPT_BYTES > MAX_ENVELOPE_BYTES
    # An office that still works on a document is not cut off.
    longest = OfficeSettings.model_fields["answer_within"].metadata
    assert (
        int(said["consumer_timeout"])
        > max(limit.lt.total_seconds() for limit in longest if hasattr(limit, "lt")) * 1000
    )
    plugins = (CONFIG / "rabbitmq" / "enabled_plugins").read_text(encoding="utf-8")
    assert re.fullmatch(r"\[\w+(,\w+)*\]\.\n", plugins)
    assert "rabbitmq_prometheus" in plugins


# --- what is watched ----------------------------------------------------------------------


def _labels(one: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    for collector, names in one._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ()))
        for name in names:
            yield name, labels | ({"le"} if name.endswith("_bucket") else set())


# Every target has these two, whatever it says itself.
_LABELS = {
    name: labels | {"job", "instance"}
    for one in (metrics.REGISTRY, office_metrics.REGISTRY)
    for name, labels in _labels(one)
} | {"up": {"job", "instance"}}

_VALUES = {
    "state": {state.value for state in State},
    "result": {level.value for level in Level} | {"unpublished", "unanswered"},
    "what": {"unsent", "untaken", "unanswered", "undecided"},
    "priority": set("01234"),
    "status": {f"{number}xx" for number in range(1, 6)},
}

_ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CONFIG / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
_BOARD: dict[str, Any] = json.loads((CONFIG / "grafana" / "dashboards" / "axis.json").read_text(encoding="utf-8"))
_TARGETS = [target for panel in _BOARD["panels"] for target in panel["targets"]]
_EXPRESSIONS = [rule["expr"] for rule in _ALERTS] + [target["expr"] for target in _TARGETS]


def _carried(expression: str) -> set[str]:
    """Return the labels that the result of an expression has."""
    by = re.search(r"\b(?:sum|min|max) by \(([^)]*)\)", expression)
    if by:
        return {label.strip() for label in by[1].split(",")} - ({"le"} if "histogram_quantile" in expression else set())
    if re.search(r"\b(?:sum|min|max)\(", expression):
        return set()
    (name,) = re.findall(r"\b(?:axis_\w+|up)\b", re.sub(r'"[^"]*"', "", expression))
    return _LABELS[name]


@pytest.mark.parametrize("expression", _EXPRESSIONS)
def test_expressions_ask_for_labels_and_values_that_there_are(expression: str) -> None:
    (name,) = re.findall(r"\b(?:axis_\w+|up)\b", re.sub(r'"[^"]*"', "", expression))
    assert _carried(expression) <= _LABELS[name]
    for label, how, value in re.findall(r'(\w+)(=~?)"([^"]*)"', expression):
        assert label in _LABELS[name]
        asked = re.findall(r"\w+", value) if "|" in value else [value]
        if label in _VALUES and how == "=":
            assert value in _VALUES[label]
        elif label in _VALUES:
            assert all(any(re.fullmatch(one, real) for real in _VALUES[label]) for one in asked)


@pytest.mark.parametrize("rule", _ALERTS, ids=lambda rule: str(rule["alert"]))
def test_alerts_speak_of_labels_that_they_have(rule: dict[str, Any]) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert told <= _carried(rule["expr"])
    assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("target", _TARGETS, ids=lambda target: str(target["expr"]))
def test_legends_speak_of_labels_that_they_have(target: dict[str, Any]) -> None:
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", ""))) <= _carried(target["expr"])


def test_figures_of_the_ledger_make_one_alert_however_many_processes_show_them() -> None:
    shared = {
        "axis_dead_letters",
        "axis_held",
        "axis_overdue",
        "axis_outbox_lag_seconds",
        "axis_oldest_undelivered_seconds",
        "axis_certificate_days_left",
    }
    seen = {name: rule["expr"] for rule in _ALERTS for name in shared if name in rule["expr"]}
    assert set(seen) == shared
    assert [name for name, expression in seen.items() if "instance" in _carried(expression)] == []


def test_priorities_are_each_watched_once() -> None:
    watched = [
        priority
        for rule in _ALERTS
        for one in re.findall(r'axis_oldest_undelivered_seconds\{priority=~"\[(\d+)\]"\}', rule["expr"])
        for priority in one
    ]
    assert sorted(watched) == list("01234")


def test_dashboard_asks_the_source_that_is_provisioned() -> None:
    folder = CONFIG / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in _BOARD["panels"]} == {source["uid"]}
    ids = [panel["id"] for panel in _BOARD["panels"]]
    assert len(ids) == len(set(ids)) > 4
    (provider,) = yaml.safe_load((folder / "dashboards" / "axis.yml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets


def test_rules_are_mounted_where_prometheus_looks() -> None:
    said = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in said["rule_files"]} <= mounted


# --- systemd --------------------------------------------------------------------------------


def _unit(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(file, encoding="utf-8")
    return parser


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_units_come_back_after_any_outage(file: Path) -> None:
    unit = _unit(file)
    # With the limit of systemd, five starts in a row without a ledger could be the last.
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] in {"always", "on-failure"}
    assert unit["Service"]["TimeoutStopSec"] == "60"
    assert unit["Service"]["EnvironmentFile"].startswith("-/etc/axis/")


@pytest.mark.parametrize("file", [file for file in UNITS if "office" not in file.name], ids=lambda file: file.name)
def test_units_may_write_where_the_sample_settings_write(file: Path) -> None:
    service = _unit(file)["Service"]
    allowed = [Path("/var/lib") / service["StateDirectory"], Path(service["ReadWritePaths"].removeprefix("-"))]
    sample = tomllib.loads((CONFIG / "axis.toml").read_text(encoding="utf-8"))
    for place in (sample["data"], urlsplit(sample["spool_url"]).path):
        assert any(Path(place).is_relative_to(one) for one in allowed), place
    assert service["WorkingDirectory"] == "/etc/axis"  # Where axis.toml is looked for.


def test_units_differ_in_what_they_run_alone() -> None:
    router, gateway = (_unit(CONFIG / "systemd" / f"axis-{name}.service") for name in AXIS)
    assert {key: value for key, value in router["Service"].items() if key != "ExecStart"} == {
        key: value for key, value in gateway["Service"].items() if key != "ExecStart"
    }
