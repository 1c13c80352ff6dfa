"""Opening the ledger for a command that looks at it, or changes one thing in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from axis import ledger, registry
from axis.cli import options
from axis.errors import PermanentError
from axis.settings import Settings


@asynccontextmanager
async def opened(data: Path | None) -> AsyncIterator[ledger.Ledger]:
    """Open the ledger of the settings.

    Raises:
        PermanentError: CFG.INVALID; there is no ledger yet.
    """
    async with ledger.Ledger.open(require(options.settings(data).filled())) as book:
        yield book


async def roll_of(book: ledger.Ledger) -> registry.Registry:
    """Return the offices as the ledger has them now."""
    return registry.Registry.from_rows(await book.registry_rows())


def require(settings: Settings) -> str:
    """Return the address of the ledger of the settings.

    Raises:
        PermanentError: CFG.INVALID; there is no ledger yet.
    """
    url = settings.ledger_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise PermanentError(
            "CFG.INVALID", f"there is no ledger at {url.removeprefix('sqlite:///')}; give --data or AXIS_LEDGER_URL"
        )
    return url
