"""Ledgers that tests begin with: of each kind one is migrated, and the others are copies of it.

To migrate is to commit every step, and hundreds of tests need a ledger each. Whoever asks about migrations takes an
empty one and migrates it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from axis import ledger
from tests.postgres import PrivatePostgres

_SQLITE = "sqlite:///"
_models: list[bytes] = []  # The file of the one in SQLite, once it is made.


async def build(url: str) -> None:
    """Give a ledger the schema of this version; does nothing if it has it."""
    file = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or file.exists():
        await ledger.migrate(url)
        return
    file.touch(0o600)
    file.write_bytes(await _model())


async def _model() -> bytes:
    if not _models:
        with TemporaryDirectory(prefix="axis-ledger-") as folder:
            file = Path(folder) / "ledger.sqlite"
            await ledger.migrate(f"{_SQLITE}{file}")
            assert [path.name for path in file.parent.iterdir()] == [file.name]  # Nothing is left beside it.
            _models.append(file.read_bytes())
    return _models[0]


async def model_on(server: PrivatePostgres) -> str:
    """Migrate a database for others to be copies of it; return its URL."""
    url = server.new_database()
    await ledger.migrate(url)
    return url
