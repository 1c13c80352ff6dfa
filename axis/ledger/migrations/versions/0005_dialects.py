"""What an older system sent stands beside what the axis has sealed of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("envelopes", sa.Column("original", sa.String(length=64), nullable=True))
    where = sa.text("original IS NOT NULL")
    op.create_index(
        "ix_envelopes_original", "envelopes", ["original"], unique=False, sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_envelopes_original", table_name="envelopes")
    op.drop_column("envelopes", "original")
