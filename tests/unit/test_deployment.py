"""docker-compose.yml, config/ and the units, as far as they can be held against the code without an engine to run them."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from adapters.folder.options import FolderOptions
from adapters.http.options import HttpOptions
from axis import registry
from axis.cli.main import root
from axis.office import metrics as office_metrics
from axis.office.settings import ADAPTER_PREFIX, ENVIRONMENT, ROOT
from axis.settings import Settings
from axis.telemetry import metrics
from scripts.tables import leaves

pytestmark = pytest.mark.xdist_group("deployment")  # What setup.sh makes takes seconds, and is made once.

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config"
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one and name != "setup"}
UNITS = sorted((CONFIG / "systemd").glob("*.service"))

_READ = (
    {"AXIS_" + name.upper().replace(".", "__") for name, _ in leaves(Settings)}
    | set(ENVIRONMENT)
    | {ROOT}
    | {ADAPTER_PREFIX + name.upper() for options in (FolderOptions, HttpOptions) for name, _ in leaves(options)}
)


def _takes(words: list[str]) -> None:
    """Check that the command line takes these words."""
    command: Any = typer.main.get_command(root())
    words = list(words)
    while words and (inner := getattr(command, "commands", {}).get(words[0])) is not None:
        command, words = inner, words[1:]
    assert not hasattr(command, "commands"), words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


# --- docker-compose.yml and the Dockerfile ----------------------------------------------


def test_everything_that_is_promised_is_there() -> None:
    images = {name: one["image"].split(":")[0] for name, one in SERVICES.items()}
    assert {"rabbitmq", "postgres", "prom/prometheus", "grafana/grafana", "document-axis"} == set(images.values())
    assert {one["command"][0] for one in OURS.values()} == {"router", "gateway", "office"}
    assert sum(one["command"][0] == "office" for one in OURS.values()) == 2
    assert SERVICES["rabbitmq"]["image"].startswith("rabbitmq:4.")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*", SERVICES[name]["image"])


def test_dockerfile_is_pinned_and_does_not_run_as_root() -> None:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert all(re.search(r":\d+\.\d+\.\d+", line) for line in re.findall(r"^FROM .*", text, re.M))
    assert re.findall(r"^USER (\w+)$", text, re.M) == ["axis"]
    copied = [word for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M) for word in line.split()]
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) <= allowed
    assert all((REPOSITORY / name).exists() for name in copied)


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "setup"])
def test_long_running_services_are_watched_and_started_again(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_health_is_asked_where_it_is_answered() -> None:
    asked = {
        name: re.search(r"127\.0\.0\.1:(\d+)(/\w+)", " ".join(one["healthcheck"]["test"])) for name, one in OURS.items()
    }
    ports = {name: (int(found[1]), found[2]) for name, found in asked.items() if found}
    assert ports == {
        "gateway": (Settings.model_fields["gateway"].default.port, "/readyz"),
        "router": (Settings.model_fields["router"].default.metrics_port, "/readyz"),
        **{
            name: (int(one["environment"]["AXIS_OFFICE_METRICS_PORT"]), "/readyz")
            for name, one in OURS.items()
            if name.startswith("office-")
        },
    }


def test_ports_are_for_this_machine_alone_and_each_is_one_services() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len(ports) == len(set(ports)) >= 3


@pytest.mark.parametrize("name", OURS)
def test_variables_are_read_by_the_settings(name: str) -> None:
    given = {variable for variable in OURS[name]["environment"] if variable.startswith("AXIS_")}
    assert given
    assert given <= _READ


@pytest.mark.parametrize("name", [name for name, one in OURS.items() if one["command"][0] != "office"])
def test_settings_take_the_environment(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings(data=tmp_path)
    assert settings.ledger_url.startswith("postgresql://")
    assert settings.gateway.host == "0.0.0.0"  # noqa: S104 - In a container.


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    _takes(OURS[name]["command"])


def test_what_is_mounted_and_waited_for_exists() -> None:
    for name, one in SERVICES.items():
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            exists = (REPOSITORY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert exists, (name, source)
        assert set(one.get("depends_on", {})) <= set(SERVICES)


def test_secrets_are_files() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if "PASSWORD" in line:
            assert re.search(r"PASSWORD_FILE: /province/secrets/", line), line
    assert "://axis:" not in text


# --- setup.sh, run -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What setup.sh makes, run twice, to be looked at."""
    place = tmp_path_factory.mktemp("setup")
    config = place / "config"
    config.mkdir()
    shutil.copy(CONFIG / "offices.toml", config)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PROVINCE": str(place / "province"),
        "CONFIG": str(config),
        "LANG": "C.UTF-8",
    }
    made = []
    for _ in range(2):
        subprocess.run(
            ["sh", str(CONFIG / "compose" / "setup.sh")], env=environment, check=True, capture_output=True, timeout=280
        )
        made.append((place / "province" / "trust" / "certs" / "H56.VP.pem").read_bytes())
    assert made[0] == made[1]
    return place / "province"


def test_setup_makes_a_province_for_its_services(province: Path) -> None:
    roll = registry.load_offices(province / "trust" / "offices.toml")
    assert roll.by_code["H56.TRUC"].certificates
    definitions = json.loads((province / "definitions.json").read_text(encoding="utf-8"))
    assert {user["name"] for user in definitions["users"]} >= {"axis", "H56.VP", "H56.112"}
    rights = {one["user"]: one["configure"] for one in definitions["permissions"]}
    assert (rights["axis"], rights["H56.VP"]) == (".*", "^$")
    wanted = set(re.findall(r"/province/([\w./-]+)", (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")))
    assert [name for name in sorted(wanted) if not (province / name).exists()] == []
    assert (province / "secrets" / "axis").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("office-")])
def test_offices_are_accepted_with_the_places_of_the_composition(name: str, province: Path, tmp_path: Path) -> None:
    environment = {
        variable: str(value).replace("/province", str(province)).replace("/var/lib/axis", str(tmp_path / "state"))
        for variable, value in OURS[name]["environment"].items()
    }
    (file,) = [volume.split(":")[0] for volume in OURS[name]["volumes"] if volume.startswith("./config/offices")]
    answer = CliRunner().invoke(root(), ["office", "check", str(REPOSITORY / file), "--json"], env=environment)
    assert answer.exit_code == 0, answer.output
    settings = json.loads(answer.output)
    for place in ("key", "certificate", "trust", "broker_password_file"):
        assert Path(settings[place]).exists(), place


# --- watching -------------------------------------------------------------------------------


def _exported(one: CollectorRegistry) -> Iterator[str]:
    for collector in one._collector_to_names:
        for metric in collector.describe():  # type: ignore[attr-defined]
            yield metric.name
            yield from (f"{metric.name}_{end}" for end in ("total", "bucket", "sum", "count"))


_SERIES = {*_exported(metrics.REGISTRY), *_exported(office_metrics.REGISTRY), "up"}


def _expressions() -> Iterator[tuple[str, str]]:
    alerts = yaml.safe_load((CONFIG / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    for group in alerts["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    board = json.loads((CONFIG / "grafana" / "dashboards" / "axis.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(_expressions()))
def test_what_is_asked_of_prometheus_is_exported(where: str, expression: str) -> None:
    named = set(re.findall(r"\b(axis_\w+|up)\b", re.sub(r'"[^"]*"', "", expression)))
    assert named, where
    assert named <= _SERIES


def test_every_target_is_a_service_and_a_port_of_it() -> None:
    jobs = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {target for job in jobs for static in job["static_configs"] for target in static["targets"]}
    served = {f"{name}:8702" for name in OURS if name.startswith("office-")}
    assert targets == served | {"router:8701", "gateway:8700", "rabbitmq:15692"}
    assert "prometheus.tcp.port = 15692" in (CONFIG / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8")


def test_alerts_look_at_the_jobs_that_there_are() -> None:
    jobs = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (down,) = [expression for name, expression in _expressions() if name == "AxisProcessDown"]
    pattern = re.search(r'job=~"([^"]+)"', down)
    assert pattern
    assert all(re.fullmatch(pattern[1], job["job_name"]) for job in jobs)


# --- systemd -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_run_commands_that_exist_with_a_hard_shell(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit, encoding="utf-8")
    service = parser["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/axis/bin/axis"
    _takes(words)
    assert (service["User"], service["ProtectSystem"], service["NoNewPrivileges"]) == ("axis", "strict", "yes")
    given = {variable.partition("=")[0] for variable in service["Environment"].split()}
    assert {variable for variable in given if variable.startswith("AXIS_")} <= _READ


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_understood_by_systemd(unit: Path, tmp_path: Path) -> None:
    # The program is not installed here: another one stands for it.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace("/opt/axis/bin/axis", "/bin/true"), encoding="utf-8")
    named = copy.with_name(copy.name.replace("@.", "@H56.112."))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(named if named == copy else copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
