"""Offices say how many bytes of files may come in the message of an envelope."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lanes", sa.Column("takes_files", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("lanes", "takes_files")
