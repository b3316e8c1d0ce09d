"""The schema. Names of tables and columns are public: people query them with SQL of their own.

Times are UTC (`timestamp with time zone` on PostgreSQL; naive UTC text on SQLite, which has no zones), spans are half-open,
units are UCUM. Objects that nobody filters by their parts are JSON; states, whose shape is the code's own affair, are blobs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

VERSION_TABLE = "auditor_alembic_version"
"""Where the schema's version stands; MLflow's own is called `alembic_version`, and both may share a database."""


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime: stored in UTC, handed back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _column(name: str, kind: Any, comment: str, *rest: Any, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, kind, *rest, nullable=null, primary_key=key, comment=comment, autoincrement=False)


def _checksum() -> Column[Any]:
    """Last column of tables whose rows are checked by `auditor db check`; see `convert.sealed`."""
    return _column("checksum", BigInteger, "CRC-32 of the row as it was written", null=True)


# -- records, readings and states -----------------------------------------------------------------------------------------

record_index = Table(
    "record_index",
    metadata,
    _column("id", Text, "Record id", key=True),
    _column("model", Text, "Model name", key=True),
    _column("digest", Text, "SHA-256 of the record: the same id with another digest is a conflict"),
    _column("day", Text, "UTC day of the inference, YYYY-MM-DD: the archive partition"),
    _column("segment", Text, "Segment that brought the record: what makes a repeated drain harmless"),
    comment="One line a record, kept as long as the record: what makes the same id twice one record",
    sqlite_with_rowid=False,
)

unsettled_labels = Table(
    "unsettled_labels",
    metadata,
    _column("received", BigInteger, "Number of the label, in the order of arrival", key=True),
    _column("id", Text, "Record id that it is for"),
    _column("model", Text, "Model name; null: whichever has a record of that id", null=True),
    _column("label", Text, "True class", null=True),
    _column("value", Double, "True value", null=True),
    _column("time", UtcTime, "When it was given"),
    _column("state", Text, "unmatched (no record yet), found (its record has arrived) or ambiguous (several have)"),
    Index(None, "id"),
    comment="Labels that count for no record",
)

indexed_models = Table(
    "indexed_models",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("records", BigInteger, "Lines of this model in record_index"),
    _column("first_day", Text, "Earliest day in record_index"),
    _column("last_day", Text, "Latest day in record_index"),
    comment="Totals of record_index, kept with it",
)

energy_readings = Table(
    "energy_readings",
    metadata,
    _column("digest", Text, "SHA-256 of the reading: delivered twice, counted once", key=True),
    _column("segment", Text, "Segment that brought it first"),
    _column("model", Text, "Model name"),
    _column("version", Text, "Model version"),
    _column("start", UtcTime, "Start of the stretch"),
    _column("end", UtcTime, "End of the stretch"),
    _column("reading", Json, "The reading: joules by component, active, idle, requests, method, meter"),
    Index(None, "model", "end"),
    comment="What a meter saw beside a model, stretch by stretch",
)

capture_tallies = Table(
    "capture_tallies",
    metadata,
    _column("digest", Text, "SHA-256 of the tally: delivered twice, counted once", key=True),
    _column("segment", Text, "Segment that brought it first"),
    _column("model", Text, "Model name"),
    _column("version", Text, "Model version"),
    _column("start", UtcTime, "Start of the stretch"),
    _column("end", UtcTime, "End of the stretch"),
    _column("tally", Json, "The tally: seen, described, delivered, dropped by reason"),
    Index(None, "model", "end"),
    comment="What the agents counted, drops by reason among it",
)

dirty_hours = Table(
    "dirty_hours",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("hour", UtcTime, "Start of the hour", key=True),
    comment="Hours whose records or labels changed since they were summarised",
)

hours = Table(
    "hours",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("hour", UtcTime, "Start of the hour", key=True),
    _column("frame", Text, "Digest of the frame it was counted on"),
    comment="Hours that are summarised, those without a record included",
)

states = Table(
    "states",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("hour", UtcTime, "Start of the hour", key=True),
    _column("position", Integer, "Place among the states of the hour, by version", key=True),
    _column("version", Text, "Model version; null: all versions together", null=True),
    _column("frame", Text, "Digest of the frame it was counted on"),
    _column("n", BigInteger, "Records in it"),
    _column("digest", Text, "SHA-256 of the payload"),
    _column("payload", LargeBinary, "The encoded WindowState"),
    Index(None, "model", "version"),
    comment="Hourly window states, one a model version",
)

monitors = Table(
    "monitors",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("baseline", Text, "Id of the baseline it is laid against", key=True),
    _column("name", Text, "Plugin that bets", key=True),
    _column("until", UtcTime, "End of the last window that was bet on"),
    _column("late", BigInteger, "Records that came after their window had been bet on"),
    _column("payload", LargeBinary, "The encoded MonitorState"),
    _checksum(),
    comment="What monitoring in the order of time knows: capital of its bets and what they rest on",
)

rollups = Table(
    "rollups",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("unit", Text, "day or month", key=True),
    _column("start", UtcTime, "Start of the day or month", key=True),
    _column("position", Integer, "Place among the states of the unit, by version", key=True),
    _column("alone", Boolean, "Whether the hourly states behind it are gone"),
    _column("version", Text, "Model version; null: all versions together", null=True),
    _column("frame", Text, "Digest of the frame it was counted on"),
    _column("n", BigInteger, "Records in it"),
    _column("digest", Text, "SHA-256 of the payload"),
    _column("payload", LargeBinary, "The encoded WindowState"),
    comment="States of whole days and months, one a model version",
)

archive_parts = Table(
    "archive_parts",
    metadata,
    _column("path", Text, "Path below the archive", key=True),
    _column("sha256", Text, "SHA-256 of the file"),
    _column("size", BigInteger, "Bytes"),
    _column("rows", BigInteger, "Rows in it, where they are counted: of labels and ids", null=True),
    comment="Files of the archive as they were written",
)

lost_parts = Table(
    "lost_parts",
    metadata,
    _column("path", Text, "Path below the archive", key=True),
    _column("model", Text, "Model name; empty for a file of labels"),
    _column("day", Text, "UTC day, YYYY-MM-DD"),
    _column("kind", Text, "records, labels or withdrawn"),
    _column("what", Text, "What is wrong with it"),
    _column("found", UtcTime, "When that was found"),
    _column("rows", BigInteger, "Rows it held, where that is known", null=True),
    comment="Files of the archive that do not read or are gone, until they are restored",
)

lost_records = Table(
    "lost_records",
    metadata,
    _column("id", Text, "Record id", key=True),
    _column("model", Text, "Model name", key=True),
    _column("digest", Text, "SHA-256 of the record"),
    _column("day", Text, "UTC day of the inference, YYYY-MM-DD"),
    _column("segment", Text, "Segment that brought the record"),
    Index(None, "model", "day"),
    comment="Lines of record_index whose records the archive lost: each may be delivered again",
)

# -- baselines ------------------------------------------------------------------------------------------------------------

frames = Table(
    "frames",
    metadata,
    _column("digest", Text, "Digest of the frame", key=True),
    _column("model", Text, "Model name"),
    _column("body", LargeBinary, "The frame as JSON, zlib-compressed"),
    comment="What baselines froze: grids, projections, pairs",
)

baselines = Table(
    "baselines",
    metadata,
    _column("id", Text, "Baseline id", key=True),
    _column("model", Text, "Model name"),
    _column("start", UtcTime, "Start of the reference window"),
    _column("end", UtcTime, "End of the reference window"),
    _column("frame", Text, "Digest of its frame", ForeignKey("frames.digest")),
    _column("n", BigInteger, "Records in it"),
    _column("versions", Json, "Model versions in it"),
    _column("by", Text, "Who pinned it"),
    _column("at", UtcTime, "When it was pinned"),
    _column("kind", Text, "fixed, trailing or seasonal"),
    _column("describers", Json, "Pairs of input and describer or encoder version"),
    _column("state_digest", Text, "SHA-256 of the state"),
    _column("state", LargeBinary, "The encoded WindowState of the whole reference window"),
    _checksum(),
    Index(None, "model", "at"),
    comment="Reference windows that a person pinned; the newest of a model is in force, the others are history",
)

# -- audits ---------------------------------------------------------------------------------------------------------------

audit_runs = Table(
    "audit_runs",
    metadata,
    _column("id", Text, "Run id", key=True),
    _column("model", Text, "Model name"),
    _column("start", UtcTime, "Start of the window"),
    _column("end", UtcTime, "End of the window"),
    _column("revision", Integer, "1, and one more each time the window is audited again; the highest is shown"),
    _column("baseline", Text, "Id of the baseline it was compared with", null=True),
    _column("records", BigInteger, "Records in the window"),
    _column("labelled", BigInteger, "Records whose ground truth was known"),
    _column("started", UtcTime, "When the audit began"),
    _column("ended", UtcTime, "When it was committed"),
    _column("versions", Json, "Package to version of the code that had a part in it"),
    _column("policies", Json, "Policy name to digest"),
    _column("settings", Text, "Digest of the settings in force"),
    _column("states", Text, "Digest of the data: the same data gives the same digest"),
    _checksum(),
    UniqueConstraint("model", "start", "end", "revision"),
    comment="One audited window of one model; never rewritten",
)

measurements = Table(
    "measurements",
    metadata,
    _column("run", Text, "Id of the run", ForeignKey("audit_runs.id"), key=True),
    _column("id", Text, "Measurement id: follows from series, window, revision and method", key=True),
    _column("metric", Text, "Name in the catalogue"),
    _column("value", Double, "The figure; null exactly when status is not ok", null=True),
    _column("unit", Text, "UCUM"),
    _column("status", Text, "ok, insufficient_data, not_applicable or error"),
    _column("reason", Text, "Code of why there is no value; empty when there is one"),
    _column("model", Text, "Model name"),
    _column("version", Text, "Model version; null: all versions together", null=True),
    _column("start", UtcTime, "Start of the window"),
    _column("end", UtcTime, "End of the window"),
    _column("revision", Integer, "Revision of the run"),
    _column("n", BigInteger, "Observations behind the value"),
    _column("n_baseline", BigInteger, "Observations behind it in the baseline", null=True),
    _column("baseline", Text, "Id of the baseline", null=True),
    _column("attributes", Json, "Which series: input, modality, column, pair, feature, group, ..."),
    _column("interval", Json, "lower, upper, level, method", null=True),
    _column("p_value", Double, "Of: nothing changed; unadjusted", null=True),
    _column("method", Json, "name, version"),
    _column("how", Text, "measured, calibrated, modelled or sourced"),
    _column("exact", Boolean, "Whether the value is exact"),
    _column("bound", Double, "Largest error of the value when it is not", null=True),
    _column("recorded", UtcTime, "When it was measured"),
    _column("facts", Json, "What the value rests on: counts, means, meter, ..."),
    Index(None, "model", "metric", "start"),
    Index(None, "model", "start"),
    comment="Every figure, or the reason why there is none",
)

row_checksums = Table(
    "row_checksums",
    metadata,
    _column("run", Text, "Id of the run", ForeignKey("audit_runs.id"), key=True),
    _column("contents", Json, "CRC-32 of each row by table and id: what tells whether it was altered"),
    comment="Checksums of the measurements and verdicts of each run",
)

artifacts = Table(
    "artifacts",
    metadata,
    _column("run", Text, "Id of the run", ForeignKey("audit_runs.id"), key=True),
    _column("sha256", Text, "SHA-256 of the file, and its name", key=True),
    _column("extension", Text, "Extension of the file's name"),
    _column("title", Text, "What it shows", key=True),
    _column("made_by", Json, "name, version of what drew it"),
    _column("model", Text, "Model name"),
    _column("start", UtcTime, "Start of the window"),
    _column("end", UtcTime, "End of the window"),
    _column("size", BigInteger, "Bytes"),
    _checksum(),
    Index(None, "model", "start"),
    comment="Files that audits drew, by content",
)

verdicts = Table(
    "verdicts",
    metadata,
    _column("run", Text, "Id of the run", ForeignKey("audit_runs.id"), key=True),
    _column("id", Text, "Verdict id", key=True),
    _column("policy", Text, "Policy name"),
    _column("policy_digest", Text, "Digest of the policy file"),
    _column("control", Text, "Control name"),
    _column("refs", Json, "Provisions it speaks to: src, at, relation"),
    _column("model", Text, "Model name"),
    _column("slice", Text, "overall, or feature=value joined by &"),
    _column("start", UtcTime, "Start of the window"),
    _column("end", UtcTime, "End of the window"),
    _column("verdict", Text, "pass, warn, fail, insufficient_evidence, error, waived or not_applicable"),
    _column("underlying", Text, "What it would be without a waiver"),
    _column("reason", Text, "Code of why it is not a plain pass or fail"),
    _column("force", Text, "binding, readiness, voluntary or internal"),
    _column("state", Text, "ok, pending, firing or recovering"),
    _column("since", UtcTime, "End of the window in which the state began"),
    _column("observed", Double, "The figure that decided", null=True),
    _column("limit", Double, "What it was held against", null=True),
    _column("unit", Text, "UCUM"),
    _column("n", BigInteger, "Observations behind the figure"),
    _column("evidence", Json, "Measurement ids, the deciding one first"),
    _column("facts", Json, "What it rests on: figure, limit, interval, since, version, waiver, ..."),
    _column("judged", UtcTime, "When it was judged"),
    _column("kind", Text, "Kind of the alert it would open"),
    _column("severity", Text, "Severity of that alert"),
    _column("input", Text, "Input it is about", null=True),
    _column("modality", Text, "Modality of that input", null=True),
    _column("budget_share", Double, "False pages a budget period that it may cause", null=True),
    _column("revision", Integer, "Revision of the run"),
    _column("held_since", UtcTime, "End of the last window in which evidence was there", null=True),
    Index("ix_verdicts_series", "model", "policy", "control", "slice", "input", "end"),
    Index(None, "model", "start"),
    comment="What each control said about each slice of each window",
)

replays = Table(
    "replays",
    metadata,
    _column("model", Text, "Model name", key=True),
    _column("judge_from", UtcTime, "Start of the first window to judge again"),
    _column("alerts_from", UtcTime, "Start of the first window that alerts have to follow"),
    comment="Work an audit has begun or late data has made: removed once alerts follow the newest verdicts",
)

alerts = Table(
    "alerts",
    metadata,
    _column("id", Text, "Alert id", key=True),
    _column("kind", Text, "image, audio, text, ..., bias, alignment, missing, energy, quality, capture or policy"),
    _column("model", Text, "Model name"),
    _column("policy", Text, "Policy name"),
    _column("control", Text, "Control name"),
    _column("slice", Text, "overall, or feature=value joined by &"),
    _column("input", Text, "Input it is about", null=True),
    _column("modality", Text, "Modality of that input", null=True),
    _column("severity", Text, "Severity"),
    _column("state", Text, "open or resolved"),
    _column("opened", UtcTime, "End of the window in which it opened"),
    _column("since", UtcTime, "End of the window in which the change began"),
    _column("renewed", UtcTime, "End of the last window in which it fired"),
    _column("resolved", UtcTime, "End of the window in which all was well again", null=True),
    _column("count", BigInteger, "Windows in which it fired"),
    _column("verdict", Text, "Id of the verdict that opened it"),
    _column("budget_share", Double, "False pages a budget period that its control may cause", null=True),
    _column("finding", Text, "Id that alerts about one change share"),
    _column("facts", Json, "What it rests on: figure, limit, interval, worst window, version, ..."),
    _column("examples", Json, "Ids of records nearest to the change"),
    _column("found", UtcTime, "When the audit that opened it ran", null=True),
    _checksum(),
    Index(None, "model", "state"),
    Index(None, "opened"),
    comment="A control and slice that began to fire and, later, was well again",
)

deliveries = Table(
    "deliveries",
    metadata,
    _column("sink", Text, "Name of the sink", key=True),
    _column("key", Text, "Idempotency key: one event has one key, for ever", key=True),
    _column("number", BigInteger, "Order of the commits; a sink gets the deliveries of one model in this order"),
    _column("model", Text, "Model name"),
    _column("event", Text, "audited, opened, renewed or resolved"),
    _column("run", Text, "Id of the run that caused it", ForeignKey("audit_runs.id")),
    _column("alerts", Json, "Alerts by event, as they were then; null once sent", null=True),
    _column("state", Text, "waiting, sent or dead (refused for good)"),
    _column("created", UtcTime, "When it was committed"),
    _column("attempts", Integer, "Failed attempts"),
    _column("due", UtcTime, "The scheduler tries again at this time"),
    _column("error", Text, "The last error; empty when there was none"),
    Index(None, "state", "sink", "number"),
    comment="The outbox: events on their way to sinks, and keys of those that were sent",
)

# -- people ---------------------------------------------------------------------------------------------------------------

commands = Table(
    "commands",
    metadata,
    _column("id", Text, "Command id", key=True),
    _column("kind", Text, "baseline.pin, attest, waive, ..."),
    _column("by", Text, "Who said it"),
    _column("at", UtcTime, "When it was said"),
    _column("payload", Json, "What was said"),
    _checksum(),
    Index(None, "kind", "at"),
    comment="What only a person can say, as it was said",
)

keys = Table(
    "keys",
    metadata,
    _column("id", Text, "Key id", key=True),
    _column("role", Text, "ingest, viewer, editor or admin"),
    _column("models", Json, "Names of the models it is for; null: all", null=True),
    _column("hash", Text, "Hash of the key; the key itself is kept nowhere"),
    _column("created", UtcTime, "When it was created"),
    _column("revoked", UtcTime, "When it was revoked", null=True),
    comment="Keys of the HTTP service",
)
