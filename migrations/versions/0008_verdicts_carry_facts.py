"""Verdicts and alerts carry facts in place of their sentences; alerts about one change share a finding.

Revision 0008, after 0007. A stored sentence becomes the fact `text`, which is shown as it stands.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
FACTS = {
    "verdicts": "What it rests on: figure, limit, interval, since, version, waiver, ...",
    "alerts": "What it rests on: figure, limit, interval, worst window, version, ...",
}

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    made = "jsonb_build_object('text', explanation)" if _postgresql() else "json_object('text', explanation)"
    for name, comment in FACTS.items():
        op.add_column(name, sa.Column("facts", JSON, comment=comment))
        op.execute(sa.text(f"UPDATE {name} SET facts = {made}"))
    op.add_column("alerts", sa.Column("finding", sa.Text(), comment="Id that alerts about one change share"))
    op.execute(sa.text("UPDATE alerts SET finding = ''"))
    for name in FACTS:
        with op.batch_alter_table(name, recreate=_recreate()) as table:
            table.alter_column("facts", existing_type=JSON, nullable=False)
            if name == "alerts":
                table.alter_column("finding", existing_type=sa.Text(), nullable=False)
            table.drop_column("explanation")


def downgrade() -> None:
    read = "facts->>'text'" if _postgresql() else "json_extract(facts, '$.text')"
    for name in FACTS:
        op.add_column(name, sa.Column("explanation", sa.Text(), comment="One sentence"))
        op.execute(sa.text(f"UPDATE {name} SET explanation = COALESCE({read}, '')"))
        with op.batch_alter_table(name, recreate=_recreate()) as table:
            table.alter_column("explanation", existing_type=sa.Text(), nullable=False)
            table.drop_column("facts")
            if name == "alerts":
                table.drop_column("finding")


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _recreate() -> str:
    return "never" if _postgresql() else "always"
