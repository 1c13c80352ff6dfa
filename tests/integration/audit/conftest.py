"""A house on each kind of ledger; log events are captured."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.house import House, house


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def home(ledger_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(ledger_url, tmp_path) as opened:
        yield opened
