"""Alembic's entry: migrates the connection that `auditor.store.schema` hands over, or the one that `-x url=` names."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import JSON, Connection

from auditor.store.database import Database
from auditor.store.schema import ours
from auditor.store.tables import VERSION_TABLE, UtcTime, metadata


def render(kind: str, item: Any, _autogenerate: Any) -> str | bool:
    """Types by the names that `script.py.mako` gives them: a migration must not change when the code's own types do."""
    if kind == "type":
        if isinstance(item, UtcTime):
            return "TIME"
        if isinstance(item, JSON):
            return "JSON"
    return False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_name=ours,
        render_item=render,
        render_as_batch=True,  # SQLite changes a column by rebuilding its table
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    database = Database(context.get_x_argument(as_dictionary=True)["url"], foreign_keys=False)
    with database.writing() as connection:
        migrate(connection)
    database.close()
