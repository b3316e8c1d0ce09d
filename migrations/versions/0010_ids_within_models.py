"""Ids are unique within a model; labels that count for no record.

Revision 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)
TABLES = ("record_index", "lost_records")

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in TABLES:
        _key(table, ["id", "model"])
    op.create_table(
        "unsettled_labels",
        sa.Column("received", sa.BigInteger(), nullable=False, comment="Number of the label, in the order of arrival"),
        sa.Column("id", sa.Text(), nullable=False, comment="Record id that it is for"),
        sa.Column("model", sa.Text(), nullable=True, comment="Model name; null: whichever has a record of that id"),
        sa.Column("label", sa.Text(), nullable=True, comment="True class"),
        sa.Column("value", sa.Double(), nullable=True, comment="True value"),
        sa.Column("time", TIME, nullable=False, comment="When it was given"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="unmatched (no record yet), found (its record has arrived) or ambiguous (several have)",
        ),
        sa.PrimaryKeyConstraint("received", name=op.f("pk_unsettled_labels")),
        comment="Labels that count for no record",
    )
    op.create_index(op.f("ix_unsettled_labels_id"), "unsettled_labels", ["id"])


def downgrade() -> None:
    op.drop_table("unsettled_labels")
    # The older key has room for one model an id: of several, the first one taken in stays.
    own = "SELECT count(*) FROM record_index WHERE record_index.model = indexed_models.model"
    op.execute(sa.text(f"UPDATE indexed_models SET records = records - ({own} AND {_taken('record_index')})"))
    for table in TABLES:
        op.execute(sa.text(f"DELETE FROM {table} WHERE {_taken(table)}"))
        _key(table, ["id"])


def _taken(table: str) -> str:
    """Whether an older line, of another model, has the id of a line."""
    before = f"other.segment || other.model < {table}.segment || {table}.model"
    return f"EXISTS (SELECT 1 FROM {table} AS other WHERE other.id = {table}.id AND {before})"


def _key(table: str, columns: list[str]) -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    rows = {} if table != "record_index" or postgresql else {"table_kwargs": {"sqlite_with_rowid": False}}
    name = op.f(f"pk_{table}")
    with op.batch_alter_table(table, recreate="auto" if postgresql else "always", **rows) as to:
        to.drop_constraint(name, type_="primary")
        to.create_primary_key(name, columns)
