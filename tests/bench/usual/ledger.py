"""Ledger: what the router keeps, one commit for each message; SQLAlchemy's ORM over SQLite or PostgreSQL."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench.usual.documents import Envelope, Receipt, RefusedError
from tests.bench.usual.told import AXIS


class Base(DeclarativeBase):
    """The router's tables."""


class EnvelopeRow(Base):
    """An envelope in custody."""

    __tablename__ = "envelopes"
    __table_args__ = (UniqueConstraint("originator", "document_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    originator: Mapped[str]
    document_id: Mapped[str]
    digest: Mapped[str]
    accepted_at: Mapped[float]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class DeliveryRow(Base):
    """An envelope on its way to one addressee."""

    __tablename__ = "deliveries"

    envelope_id: Mapped[str] = mapped_column(ForeignKey("envelopes.id"), primary_key=True)
    addressee: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]


class ReceiptRow(Base):
    """What was said."""

    __tablename__ = "receipts"

    digest: Mapped[str] = mapped_column(primary_key=True)
    envelope_id: Mapped[str] = mapped_column(ForeignKey("envelopes.id"), index=True)
    level: Mapped[str]
    addressee: Mapped[str | None]
    at: Mapped[float]
    xml: Mapped[bytes] = mapped_column(LargeBinary)

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptRow":
        """Return the row of a receipt."""
        return cls(
            digest=receipt.digest,
            envelope_id=receipt.envelope_id,
            level=receipt.level,
            addressee=receipt.addressee,
            at=receipt.at.timestamp(),
            xml=receipt.xml,
        )


class Ledger:
    """The book of the router."""

    def __init__(self, url: str) -> None:
        self._engine = engine(url)
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)

    async def open(self) -> None:
        """Make the tables."""
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def accept(self, envelope: Envelope, sealed: bytes, accepted: Receipt) -> Receipt | None:
        """Take custody in one commit: envelope, deliveries, receipt. Return None if the envelope is here already."""
        row = EnvelopeRow(
            id=accepted.envelope_id,
            originator=envelope.originator,
            document_id=envelope.document_id,
            digest=envelope.digest,
            accepted_at=accepted.at.timestamp(),
            sealed=sealed,
        )
        async with self._session() as session:
            try:
                session.add(row)
                await session.flush()
                session.add_all(
                    DeliveryRow(envelope_id=row.id, addressee=one, state="sent") for one in envelope.addressees
                )
                session.add(ReceiptRow.of(accepted))
                await session.commit()
            except IntegrityError:
                return None
        return accepted

    async def accepted_before(self, envelope: Envelope) -> Receipt:
        """Return what was said when an envelope came the first time.

        Raises:
            RefusedError: It was another one.
        """
        about = (
            select(EnvelopeRow.digest, ReceiptRow)
            .join(ReceiptRow, ReceiptRow.envelope_id == EnvelopeRow.id)
            .where(EnvelopeRow.originator == envelope.originator)
            .where(EnvelopeRow.document_id == envelope.document_id)
            .where(ReceiptRow.level == "accepted")
        )
        async with self._session() as session:
            digest, row = (await session.execute(about)).one()
        if digest != envelope.digest:
            raise RefusedError("the same document id with other content")
        return Receipt(
            xml=row.xml,
            level=row.level,
            issuer=AXIS,
            envelope_id=row.envelope_id,
            document_id=envelope.document_id,
            addressee=None,
            at=datetime.fromtimestamp(row.at, UTC),
        )

    async def answer(self, receipt: Receipt) -> str:
        """Record a receipt and move its delivery in one commit; return the originator.

        Raises:
            RefusedError: Nothing was sent to its issuer.
        """
        about = (
            select(DeliveryRow, EnvelopeRow.originator)
            .join(EnvelopeRow, EnvelopeRow.id == DeliveryRow.envelope_id)
            .where(DeliveryRow.envelope_id == receipt.envelope_id, DeliveryRow.addressee == receipt.issuer)
            .with_for_update(of=DeliveryRow)  # Both receipts of a document may be in hand at once.
        )
        async with self._session() as session:
            found = (await session.execute(about)).one_or_none()
            if found is None:
                raise RefusedError("a receipt about nothing that was sent to its issuer")
            delivery, originator = found
            if delivery.state != "registered":
                delivery.state = receipt.level
            session.add(ReceiptRow.of(receipt))
            with suppress(IntegrityError):  # It is here already.
                await session.commit()
        return str(originator)


class OfficeBase(DeclarativeBase):
    """The addressee's tables."""


class IncomingRow(OfficeBase):
    """A document in the register of incoming ones."""

    __tablename__ = "incoming"

    envelope_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    document_id: Mapped[str]
    delivered: Mapped[bytes] = mapped_column(LargeBinary)
    registered: Mapped[bytes] = mapped_column(LargeBinary)


class Register:
    """The book of the addressee."""

    def __init__(self, url: str) -> None:
        self._engine = engine(url)
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)

    async def open(self) -> None:
        """Make the table."""
        async with self._engine.begin() as connection:
            await connection.run_sync(OfficeBase.metadata.create_all)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def find(self, envelope_id: str) -> IncomingRow | None:
        """Return what was said about a document that came before."""
        async with self._session() as session:
            return await session.get(IncomingRow, envelope_id)

    async def enter(self, row: IncomingRow) -> None:
        """Enter a document, with what will be said about it."""
        async with self._session() as session:
            session.add(row)
            await session.commit()


def engine(url: str) -> AsyncEngine:
    """Open a database: one connection to SQLite, which lets one write at a time, and a pool to PostgreSQL."""
    scheme, _, place = url.partition("://")
    if scheme == "postgresql":
        return create_async_engine(f"postgresql+asyncpg://{place}", pool_size=10, max_overflow=10)
    made = create_async_engine(f"sqlite+aiosqlite://{place}", pool_size=1, max_overflow=0)
    event.listen(made.sync_engine, "connect", _tune)
    return made


def _tune(connection: Any, _record: Any) -> None:
    """Let a commit reach the disk, as the axis's does."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
