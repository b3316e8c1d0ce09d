"""States by day and month, and the checksums of the archive's files.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_parts",
        sa.Column("path", sa.Text(), nullable=False, comment="Path below the archive"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the file"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_archive_parts")),
        comment="Files of the archive as they were written",
    )
    op.create_table(
        "rollups",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("unit", sa.Text(), nullable=False, comment="day or month"),
        sa.Column("start", TIME, nullable=False, comment="Start of the day or month"),
        sa.Column("position", sa.Integer(), nullable=False, comment="Place among the states of the unit, by version"),
        sa.Column("alone", sa.Boolean(), nullable=False, comment="Whether the hourly states behind it are gone"),
        sa.Column("version", sa.Text(), nullable=True, comment="Model version; null: all versions together"),
        sa.Column("frame", sa.Text(), nullable=False, comment="Digest of the frame it was counted on"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Records in it"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the payload"),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The encoded WindowState"),
        sa.PrimaryKeyConstraint("model", "unit", "start", "position", name=op.f("pk_rollups")),
        comment="States of whole days and months, one a model version",
    )


def downgrade() -> None:
    # Days whose hours are gone cannot be told apart afterwards: they are summarised again from the archive.
    op.execute(
        sa.text(
            "DELETE FROM hours WHERE EXISTS (SELECT 1 FROM rollups WHERE rollups.model = hours.model"
            " AND rollups.alone AND rollups.unit = 'day' AND rollups.frame = hours.frame AND hours.hour >= rollups.start"
            + (
                " AND hours.hour < rollups.start + INTERVAL '1 day')"
                if op.get_bind().dialect.name == "postgresql"
                else " AND date(hours.hour) = date(rollups.start))"
            )
        )
    )
    op.drop_table("rollups")
    op.drop_table("archive_parts")
