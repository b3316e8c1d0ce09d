"""Monitors: what is kept between windows to bet on them in order.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "monitors",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("baseline", sa.Text(), nullable=False, comment="Id of the baseline it is laid against"),
        sa.Column("name", sa.Text(), nullable=False, comment="Plugin that bets"),
        sa.Column("until", TIME, nullable=False, comment="End of the last window that was bet on"),
        sa.Column(
            "late", sa.BigInteger(), nullable=False, comment="Records that came after their window had been bet on"
        ),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The encoded MonitorState"),
        sa.PrimaryKeyConstraint("model", "baseline", "name", name=op.f("pk_monitors")),
        comment="What monitoring in the order of time knows: capital of its bets and what they rest on",
    )
    _comment("fixed", "fixed, trailing or seasonal")


def downgrade() -> None:
    _comment("fixed, trailing or seasonal", "fixed")
    op.drop_table("monitors")


def _comment(old: str, new: str) -> None:
    # SQLite keeps no comments.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column(
            "baselines", "kind", existing_type=sa.Text(), existing_nullable=False, existing_comment=old, comment=new
        )
