"""Alembic environment: migrations run on the connection that the caller opened."""

from alembic import context

from axis.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=False)
context.run_migrations()
