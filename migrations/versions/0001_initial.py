"""The first schema.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False, comment="Alert id"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="image, audio, text, ..., bias, alignment, missing, energy, quality, capture or policy",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("policy", sa.Text(), nullable=False, comment="Policy name"),
        sa.Column("control", sa.Text(), nullable=False, comment="Control name"),
        sa.Column("slice", sa.Text(), nullable=False, comment="overall, or feature=value joined by &"),
        sa.Column("input", sa.Text(), nullable=True, comment="Input it is about"),
        sa.Column("modality", sa.Text(), nullable=True, comment="Modality of that input"),
        sa.Column("severity", sa.Text(), nullable=False, comment="Severity"),
        sa.Column("state", sa.Text(), nullable=False, comment="open or resolved"),
        sa.Column("opened", TIME, nullable=False, comment="End of the window in which it opened"),
        sa.Column("since", TIME, nullable=False, comment="End of the window in which the change began"),
        sa.Column("renewed", TIME, nullable=False, comment="End of the last window in which it fired"),
        sa.Column("resolved", TIME, nullable=True, comment="End of the window in which all was well again"),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="Windows in which it fired"),
        sa.Column("verdict", sa.Text(), nullable=False, comment="Id of the verdict that opened it"),
        sa.Column(
            "budget_share", sa.Double(), nullable=True, comment="False pages a budget period that its control may cause"
        ),
        sa.Column("explanation", sa.Text(), nullable=False, comment="One sentence"),
        sa.Column("examples", JSON, nullable=False, comment="Ids of records nearest to the change"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        comment="A control and slice that began to fire and, later, was well again",
    )
    op.create_index(op.f("ix_alerts_model_state"), "alerts", ["model", "state"])
    op.create_index(op.f("ix_alerts_opened"), "alerts", ["opened"])
    op.create_table(
        "audit_runs",
        sa.Column("id", sa.Text(), nullable=False, comment="Run id"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("start", TIME, nullable=False, comment="Start of the window"),
        sa.Column("end", TIME, nullable=False, comment="End of the window"),
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            comment="1, and one more each time the window is audited again; the highest is shown",
        ),
        sa.Column("baseline", sa.Text(), nullable=True, comment="Id of the baseline it was compared with"),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="Records in the window"),
        sa.Column("labelled", sa.BigInteger(), nullable=False, comment="Records whose ground truth was known"),
        sa.Column("started", TIME, nullable=False, comment="When the audit began"),
        sa.Column("ended", TIME, nullable=False, comment="When it was committed"),
        sa.Column("versions", JSON, nullable=False, comment="Package to version of the code that had a part in it"),
        sa.Column("policies", JSON, nullable=False, comment="Policy name to digest"),
        sa.Column("settings", sa.Text(), nullable=False, comment="Digest of the settings in force"),
        sa.Column(
            "states", sa.Text(), nullable=False, comment="Digest of the data: the same data gives the same digest"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_runs")),
        sa.UniqueConstraint("model", "start", "end", "revision", name=op.f("uq_audit_runs_model_start_end_revision")),
        comment="One audited window of one model; never rewritten",
    )
    op.create_table(
        "capture_tallies",
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the tally: delivered twice, counted once"),
        sa.Column("segment", sa.Text(), nullable=False, comment="Segment that brought it first"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("version", sa.Text(), nullable=False, comment="Model version"),
        sa.Column("start", TIME, nullable=False, comment="Start of the stretch"),
        sa.Column("end", TIME, nullable=False, comment="End of the stretch"),
        sa.Column("tally", JSON, nullable=False, comment="The tally: seen, described, delivered, dropped by reason"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_capture_tallies")),
        comment="What the agents counted, drops by reason among it",
    )
    op.create_index(op.f("ix_capture_tallies_model_end"), "capture_tallies", ["model", "end"])
    op.create_table(
        "commands",
        sa.Column("id", sa.Text(), nullable=False, comment="Command id"),
        sa.Column("kind", sa.Text(), nullable=False, comment="baseline.pin, attest, waive, ..."),
        sa.Column("by", sa.Text(), nullable=False, comment="Who said it"),
        sa.Column("at", TIME, nullable=False, comment="When it was said"),
        sa.Column("payload", JSON, nullable=False, comment="What was said"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
        comment="What only a person can say, as it was said",
    )
    op.create_index(op.f("ix_commands_kind_at"), "commands", ["kind", "at"])
    op.create_table(
        "dirty_hours",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("hour", TIME, nullable=False, comment="Start of the hour"),
        sa.PrimaryKeyConstraint("model", "hour", name=op.f("pk_dirty_hours")),
        comment="Hours whose records or labels changed since they were summarised",
    )
    op.create_table(
        "energy_readings",
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the reading: delivered twice, counted once"),
        sa.Column("segment", sa.Text(), nullable=False, comment="Segment that brought it first"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("version", sa.Text(), nullable=False, comment="Model version"),
        sa.Column("start", TIME, nullable=False, comment="Start of the stretch"),
        sa.Column("end", TIME, nullable=False, comment="End of the stretch"),
        sa.Column(
            "reading",
            JSON,
            nullable=False,
            comment="The reading: joules by component, active, idle, requests, method, meter",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_energy_readings")),
        comment="What a meter saw beside a model, stretch by stretch",
    )
    op.create_index(op.f("ix_energy_readings_model_end"), "energy_readings", ["model", "end"])
    op.create_table(
        "frames",
        sa.Column("digest", sa.Text(), nullable=False, comment="Digest of the frame"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="The frame as JSON, zlib-compressed"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_frames")),
        comment="What baselines froze: grids, projections, pairs",
    )
    op.create_table(
        "hours",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("hour", TIME, nullable=False, comment="Start of the hour"),
        sa.Column("frame", sa.Text(), nullable=False, comment="Digest of the frame it was counted on"),
        sa.PrimaryKeyConstraint("model", "hour", name=op.f("pk_hours")),
        comment="Hours that are summarised, those without a record included",
    )
    op.create_table(
        "indexed_models",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="Lines of this model in record_index"),
        sa.Column("first_day", sa.Text(), nullable=False, comment="Earliest day in record_index"),
        sa.Column("last_day", sa.Text(), nullable=False, comment="Latest day in record_index"),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_indexed_models")),
        comment="Totals of record_index, kept with it",
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False, comment="Key id"),
        sa.Column("role", sa.Text(), nullable=False, comment="ingest, viewer, editor or admin"),
        sa.Column("models", JSON, nullable=True, comment="Names of the models it is for; null: all"),
        sa.Column("hash", sa.Text(), nullable=False, comment="Hash of the key; the key itself is kept nowhere"),
        sa.Column("created", TIME, nullable=False, comment="When it was created"),
        sa.Column("revoked", TIME, nullable=True, comment="When it was revoked"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        comment="Keys of the HTTP service",
    )
    op.create_table(
        "record_index",
        sa.Column("id", sa.Text(), nullable=False, comment="Record id"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the record: the same id with another digest is a conflict",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column(
            "day", sa.Text(), nullable=False, comment="UTC day of the inference, YYYY-MM-DD: the archive partition"
        ),
        sa.Column(
            "segment",
            sa.Text(),
            nullable=False,
            comment="Segment that brought the record: what makes a repeated drain harmless",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_index")),
        comment="One line a record, kept as long as the record: what makes the same id twice one record",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "states",
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("hour", TIME, nullable=False, comment="Start of the hour"),
        sa.Column("position", sa.Integer(), nullable=False, comment="Place among the states of the hour, by version"),
        sa.Column("version", sa.Text(), nullable=True, comment="Model version; null: all versions together"),
        sa.Column("frame", sa.Text(), nullable=False, comment="Digest of the frame it was counted on"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Records in it"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the payload"),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The encoded WindowState"),
        sa.PrimaryKeyConstraint("model", "hour", "position", name=op.f("pk_states")),
        comment="Hourly window states, one a model version",
    )
    op.create_index(op.f("ix_states_model_version"), "states", ["model", "version"])
    op.create_table(
        "artifacts",
        sa.Column("run", sa.Text(), nullable=False, comment="Id of the run"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the file, and its name"),
        sa.Column("extension", sa.Text(), nullable=False, comment="Extension of the file's name"),
        sa.Column("title", sa.Text(), nullable=False, comment="What it shows"),
        sa.Column("made_by", JSON, nullable=False, comment="name, version of what drew it"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("start", TIME, nullable=False, comment="Start of the window"),
        sa.Column("end", TIME, nullable=False, comment="End of the window"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes"),
        sa.ForeignKeyConstraint(["run"], ["audit_runs.id"], name=op.f("fk_artifacts_run_audit_runs")),
        sa.PrimaryKeyConstraint("run", "sha256", "title", name=op.f("pk_artifacts")),
        comment="Files that audits drew, by content",
    )
    op.create_index(op.f("ix_artifacts_model_start"), "artifacts", ["model", "start"])
    op.create_table(
        "baselines",
        sa.Column("id", sa.Text(), nullable=False, comment="Baseline id"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("start", TIME, nullable=False, comment="Start of the reference window"),
        sa.Column("end", TIME, nullable=False, comment="End of the reference window"),
        sa.Column("frame", sa.Text(), nullable=False, comment="Digest of its frame"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Records in it"),
        sa.Column("versions", JSON, nullable=False, comment="Model versions in it"),
        sa.Column("by", sa.Text(), nullable=False, comment="Who pinned it"),
        sa.Column("at", TIME, nullable=False, comment="When it was pinned"),
        sa.Column("kind", sa.Text(), nullable=False, comment="fixed"),
        sa.Column("describers", JSON, nullable=False, comment="Pairs of input and describer or encoder version"),
        sa.Column("state_digest", sa.Text(), nullable=False, comment="SHA-256 of the state"),
        sa.Column(
            "state", sa.LargeBinary(), nullable=False, comment="The encoded WindowState of the whole reference window"
        ),
        sa.ForeignKeyConstraint(["frame"], ["frames.digest"], name=op.f("fk_baselines_frame_frames")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baselines")),
        comment="Reference windows that a person pinned; the newest of a model is in force, the others are history",
    )
    op.create_index(op.f("ix_baselines_model_at"), "baselines", ["model", "at"])
    op.create_table(
        "measurements",
        sa.Column("run", sa.Text(), nullable=False, comment="Id of the run"),
        sa.Column(
            "id", sa.Text(), nullable=False, comment="Measurement id: follows from series, window, revision and method"
        ),
        sa.Column("metric", sa.Text(), nullable=False, comment="Name in the catalogue"),
        sa.Column("value", sa.Double(), nullable=True, comment="The figure; null exactly when status is not ok"),
        sa.Column("unit", sa.Text(), nullable=False, comment="UCUM"),
        sa.Column("status", sa.Text(), nullable=False, comment="ok, insufficient_data, not_applicable or error"),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment="Code of why there is no value; empty when there is one"
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("version", sa.Text(), nullable=True, comment="Model version; null: all versions together"),
        sa.Column("start", TIME, nullable=False, comment="Start of the window"),
        sa.Column("end", TIME, nullable=False, comment="End of the window"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="Revision of the run"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Observations behind the value"),
        sa.Column("n_baseline", sa.BigInteger(), nullable=True, comment="Observations behind it in the baseline"),
        sa.Column("baseline", sa.Text(), nullable=True, comment="Id of the baseline"),
        sa.Column(
            "attributes",
            JSON,
            nullable=False,
            comment="Which series: input, modality, column, pair, feature, group, ...",
        ),
        sa.Column("interval", JSON, nullable=True, comment="lower, upper, level, method"),
        sa.Column("p_value", sa.Double(), nullable=True, comment="Of: nothing changed; unadjusted"),
        sa.Column("method", JSON, nullable=False, comment="name, version"),
        sa.Column("how", sa.Text(), nullable=False, comment="measured, calibrated, modelled or sourced"),
        sa.Column("exact", sa.Boolean(), nullable=False, comment="Whether the value is exact"),
        sa.Column("bound", sa.Double(), nullable=True, comment="Largest error of the value when it is not"),
        sa.Column("recorded", TIME, nullable=False, comment="When it was measured"),
        sa.Column("note", sa.Text(), nullable=False, comment="A clause for a reader"),
        sa.ForeignKeyConstraint(["run"], ["audit_runs.id"], name=op.f("fk_measurements_run_audit_runs")),
        sa.PrimaryKeyConstraint("run", "id", name=op.f("pk_measurements")),
        comment="Every figure, or the reason why there is none",
    )
    op.create_index(op.f("ix_measurements_model_metric_start"), "measurements", ["model", "metric", "start"])
    op.create_index(op.f("ix_measurements_model_start"), "measurements", ["model", "start"])
    op.create_table(
        "verdicts",
        sa.Column("run", sa.Text(), nullable=False, comment="Id of the run"),
        sa.Column("id", sa.Text(), nullable=False, comment="Verdict id"),
        sa.Column("policy", sa.Text(), nullable=False, comment="Policy name"),
        sa.Column("policy_digest", sa.Text(), nullable=False, comment="Digest of the policy file"),
        sa.Column("control", sa.Text(), nullable=False, comment="Control name"),
        sa.Column("refs", JSON, nullable=False, comment="Provisions it speaks to: src, at, relation"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model name"),
        sa.Column("slice", sa.Text(), nullable=False, comment="overall, or feature=value joined by &"),
        sa.Column("start", TIME, nullable=False, comment="Start of the window"),
        sa.Column("end", TIME, nullable=False, comment="End of the window"),
        sa.Column(
            "verdict",
            sa.Text(),
            nullable=False,
            comment="pass, warn, fail, insufficient_evidence, error, waived or not_applicable",
        ),
        sa.Column("underlying", sa.Text(), nullable=False, comment="What it would be without a waiver"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Code of why it is not a plain pass or fail"),
        sa.Column("force", sa.Text(), nullable=False, comment="binding, readiness, voluntary or internal"),
        sa.Column("state", sa.Text(), nullable=False, comment="ok, pending, firing or recovering"),
        sa.Column("since", TIME, nullable=False, comment="End of the window in which the state began"),
        sa.Column("observed", sa.Double(), nullable=True, comment="The figure that decided"),
        sa.Column("limit", sa.Double(), nullable=True, comment="What it was held against"),
        sa.Column("unit", sa.Text(), nullable=False, comment="UCUM"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Observations behind the figure"),
        sa.Column("evidence", JSON, nullable=False, comment="Measurement ids, the deciding one first"),
        sa.Column("explanation", sa.Text(), nullable=False, comment="One sentence"),
        sa.Column("judged", TIME, nullable=False, comment="When it was judged"),
        sa.Column("kind", sa.Text(), nullable=False, comment="Kind of the alert it would open"),
        sa.Column("severity", sa.Text(), nullable=False, comment="Severity of that alert"),
        sa.Column("input", sa.Text(), nullable=True, comment="Input it is about"),
        sa.Column("modality", sa.Text(), nullable=True, comment="Modality of that input"),
        sa.Column("budget_share", sa.Double(), nullable=True, comment="False pages a budget period that it may cause"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="Revision of the run"),
        sa.Column("held_since", TIME, nullable=True, comment="End of the last window in which evidence was there"),
        sa.ForeignKeyConstraint(["run"], ["audit_runs.id"], name=op.f("fk_verdicts_run_audit_runs")),
        sa.PrimaryKeyConstraint("run", "id", name=op.f("pk_verdicts")),
        comment="What each control said about each slice of each window",
    )
    op.create_index(op.f("ix_verdicts_model_start"), "verdicts", ["model", "start"])
    op.create_index("ix_verdicts_series", "verdicts", ["model", "policy", "control", "slice", "input", "end"])


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("measurements")
    op.drop_table("baselines")
    op.drop_table("artifacts")
    op.drop_table("states")
    op.drop_table("record_index")
    op.drop_table("keys")
    op.drop_table("indexed_models")
    op.drop_table("hours")
    op.drop_table("frames")
    op.drop_table("energy_readings")
    op.drop_table("dirty_hours")
    op.drop_table("commands")
    op.drop_table("capture_tallies")
    op.drop_table("audit_runs")
    op.drop_table("alerts")
