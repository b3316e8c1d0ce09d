"""The outbox.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("sink", sa.Text(), nullable=False, comment="Name of the sink"),
        sa.Column("key", sa.Text(), nullable=False, comment="Idempotency key: one event has one key, for ever"),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="Order of the commits; a sink gets the deliveries of one model in this order",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("event", sa.Text(), nullable=False, comment="audited, opened, renewed or resolved"),
        sa.Column("run", sa.Text(), nullable=False, comment="Id of the run that caused it"),
        sa.Column("alerts", JSON, nullable=True, comment="Alerts by event, as they were then; null once sent"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, sent or dead (refused for good)"),
        sa.Column("created", TIME, nullable=False, comment="When it was committed"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="Failed attempts"),
        sa.Column("due", TIME, nullable=False, comment="The scheduler tries again at this time"),
        sa.Column("error", sa.Text(), nullable=False, comment="The last error; empty when there was none"),
        sa.ForeignKeyConstraint(["run"], ["audit_runs.id"], name=op.f("fk_deliveries_run_audit_runs")),
        sa.PrimaryKeyConstraint("sink", "key", name=op.f("pk_deliveries")),
        comment="The outbox: events on their way to sinks, and keys of those that were sent",
    )
    op.create_index(op.f("ix_deliveries_state_sink_number"), "deliveries", ["state", "sink", "number"])


def downgrade() -> None:
    op.drop_table("deliveries")
