"""Windows that wait to be judged again, and when alerts were found.

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replays",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("judge_from", TIME, nullable=False, comment="Start of the first window to judge again"),
        sa.Column("alerts_from", TIME, nullable=False, comment="Start of the first window that alerts have to follow"),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_replays")),
        comment="Work an audit has begun or late data has made: removed once alerts follow the newest verdicts",
    )
    with op.batch_alter_table(
        "alerts", recreate="auto" if op.get_bind().dialect.name == "postgresql" else "always"
    ) as to:
        to.add_column(sa.Column("found", TIME, nullable=True, comment="When the audit that opened it ran"))
    op.execute(sa.text("UPDATE alerts SET found = opened"))


def downgrade() -> None:
    with op.batch_alter_table("alerts") as to:
        to.drop_column("found")
    op.drop_table("replays")
