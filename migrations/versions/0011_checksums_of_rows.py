"""A checksum in each row of monitors, baselines, runs, artifacts, alerts and commands.

Revision 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TABLES = ("monitors", "baselines", "audit_runs", "artifacts", "alerts", "commands")

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    recreate = "auto" if op.get_bind().dialect.name == "postgresql" else "always"
    for table in TABLES:
        with op.batch_alter_table(table, recreate=recreate) as to:  # type: ignore[arg-type]
            comment = "CRC-32 of the row as it was written"
            to.add_column(sa.Column("checksum", sa.BigInteger(), nullable=True, comment=comment))


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table) as to:
            to.drop_column("checksum")
