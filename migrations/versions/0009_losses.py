"""Lost files and records of the archive, and rows of its files.

Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    with op.batch_alter_table("archive_parts", recreate="auto" if postgresql else "always") as to:
        rows = "Rows in it, where they are counted: of labels and ids"
        to.add_column(sa.Column("rows", sa.BigInteger(), nullable=True, comment=rows))
    op.create_table(
        "lost_parts",
        sa.Column("path", sa.Text(), nullable=False, comment="Path below the archive"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name; empty for a file of labels"),
        sa.Column("day", sa.Text(), nullable=False, comment="UTC day, YYYY-MM-DD"),
        sa.Column("kind", sa.Text(), nullable=False, comment="records, labels or withdrawn"),
        sa.Column("what", sa.Text(), nullable=False, comment="What is wrong with it"),
        sa.Column("found", TIME, nullable=False, comment="When that was found"),
        sa.Column("rows", sa.BigInteger(), nullable=True, comment="Rows it held, where that is known"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_lost_parts")),
        comment="Files of the archive that do not read or are gone, until they are restored",
    )
    op.create_table(
        "lost_records",
        sa.Column("id", sa.Text(), nullable=False, comment="Record id"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the record"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("day", sa.Text(), nullable=False, comment="UTC day of the inference, YYYY-MM-DD"),
        sa.Column("segment", sa.Text(), nullable=False, comment="Segment that brought the record"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lost_records")),
        comment="Lines of record_index whose records the archive lost: each may be delivered again",
    )
    op.create_index(op.f("ix_lost_records_model_day"), "lost_records", ["model", "day"])


def downgrade() -> None:
    op.drop_table("lost_records")
    op.drop_table("lost_parts")
    with op.batch_alter_table("archive_parts") as to:
        to.drop_column("rows")
