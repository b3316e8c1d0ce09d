"""Figures carry facts in place of a note in English.

Revision 0005, after 0004. A note becomes the fact `text`, which is shown as it stands.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "measurements", sa.Column("facts", JSON, comment="What the value rests on: counts, means, meter, ...")
    )
    made = "jsonb_build_object('text', note)" if _postgresql() else "json_object('text', note)"
    op.execute(sa.text(f"UPDATE measurements SET facts = CASE note WHEN '' THEN {_empty()} ELSE {made} END"))
    with op.batch_alter_table("measurements", recreate=_recreate()) as table:
        table.alter_column("facts", existing_type=JSON, nullable=False)
        table.drop_column("note")


def downgrade() -> None:
    op.add_column("measurements", sa.Column("note", sa.Text(), comment="A clause for a reader"))
    read = "facts->>'text'" if _postgresql() else "json_extract(facts, '$.text')"
    op.execute(sa.text(f"UPDATE measurements SET note = COALESCE({read}, '')"))
    with op.batch_alter_table("measurements", recreate=_recreate()) as table:
        table.alter_column("note", existing_type=sa.Text(), nullable=False)
        table.drop_column("facts")


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _empty() -> str:
    return "'{}'::jsonb" if _postgresql() else "'{}'"


def _recreate() -> str:
    return "never" if _postgresql() else "always"
