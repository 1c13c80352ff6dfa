"""The services that tests speak to: a real RabbitMQ and a real PostgreSQL, started once when the first test asks."""

import asyncio
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
from tests.postgres import PrivatePostgres

DATABASES = ("sqlite", "postgresql")

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
    server = PrivatePostgres(folder)
    server.make()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PrivatePostgres) -> str:
    """An empty database on PostgreSQL, where it alone matters."""
    return postgres.new_database()


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))
