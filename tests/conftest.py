"""The services that tests speak to: a RabbitMQ and a PostgreSQL, real ones, of each process that tests."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
import structlog

from axis.broker import PrivateNode
from axis.telemetry import events
from tests import ledgers
from tests.postgres import PrivatePostgres

DATABASES = ("sqlite", "postgresql")

# A database for each test is more than a server tends on two cores: it would visit them one after the other, without
# an end. We kill it and cut no power, so that what it has written to the system is there afterwards, synced or not.
_FOR_TESTS = {"autovacuum": "off", "fsync": "off"}

# How wide a terminal is, a command that is tested is told by its test: a worker of pytest-xdist is told what the
# readline of the process that started it has left in the environment, and a console is that wide for ever.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# How long an example takes says more about the machine than about us.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that a test runs in this process sets logging up for an output that is gone with it."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    vars(events._log).pop("bind", None)  # Where the first use has left the logger that it made.


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A broker of our own. Tests use queues and accounts that no other test uses."""
    node = PrivateNode(tmp_path_factory.mktemp("broker"))
    asyncio.run(node.start())
    try:
        yield node
    finally:
        asyncio.run(node.stop())


@pytest.fixture
def office() -> str:
    """An office that no other test has, for its queues and its account."""
    return f"H56.{uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of our own. It is not below pytest's folder, which only the user of the tests may enter."""
    folder = Path(tempfile.mkdtemp(prefix="axis-postgres-"))
    server = PrivatePostgres(folder, _FOR_TESTS)
    server.make()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_model(postgres: PrivatePostgres) -> str:
    """A ledger on PostgreSQL of which others are copies."""
    return asyncio.run(ledgers.model_on(postgres))


@pytest.fixture
def postgres_url(postgres: PrivatePostgres, postgres_model: str) -> str:
    """A ledger on PostgreSQL, where it alone matters, with the schema and nothing in it."""
    return postgres.new_database(postgres_model)


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger of each kind with nothing in it, for `ledgers.build` to give it the schema that it may have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, for whoever asks how it gets its schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    server: PrivatePostgres = request.getfixturevalue("postgres")
    return server.new_database()
