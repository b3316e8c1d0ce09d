"""Checksums of the rows of each audit.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    contents = "CRC-32 of each row by table and id: what tells whether it was altered"
    op.create_table(
        "row_checksums",
        sa.Column("run", sa.Text(), nullable=False, comment="Id of the run"),
        sa.Column("contents", JSON, nullable=False, comment=contents),
        sa.ForeignKeyConstraint(["run"], ["audit_runs.id"], name=op.f("fk_row_checksums_run_audit_runs")),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_row_checksums")),
        comment="Checksums of the measurements and verdicts of each run",
    )


def downgrade() -> None:
    op.drop_table("row_checksums")
