"""Mail of closed offices is held, and may be forwarded."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BEFORE = sa.text("state IN ('queued', 'sent', 'deferred', 'dead')")
_NOW = sa.text("state IN ('queued', 'sent', 'deferred', 'dead', 'held')")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("in_place_of", sa.Text(), nullable=True))
    _index_waiting(["expires_at", "state"], _NOW)


def downgrade() -> None:
    _index_waiting(["expires_at"], _BEFORE)
    op.drop_column("deliveries", "in_place_of")


def _index_waiting(columns: list[str], waits: sa.TextClause) -> None:
    """Make the index of what waits anew: the database uses it for a query that says the same, and counts from it alone."""
    op.drop_index("ix_deliveries_expires_at", table_name="deliveries")
    op.create_index("ix_deliveries_expires_at", "deliveries", columns, sqlite_where=waits, postgresql_where=waits)
