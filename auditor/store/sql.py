"""The store on SQLite or PostgreSQL: everything that is kept outside the archive."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from sqlalchemy import delete, select
from sqlalchemy.engine import URL

from auditor.core.command import Command
from auditor.core.delivery import Delivery
from auditor.core.errors import StoreError
from auditor.core.frame import Frame
from auditor.core.measurement import Measurement
from auditor.core.run import Audit, AuditRun, Replay
from auditor.core.state import WindowState
from auditor.core.verdict import Verdict
from auditor.core.window import Baseline
from auditor.store import convert, keys, rules, tables
from auditor.store.archive_parts import SqlParts
from auditor.store.database import MEND, Database, add, add_new, put
from auditor.store.deliveries import SqlDeliveries, enqueue
from auditor.store.losses import SqlLossWriter
from auditor.store.queries import SqlQueries
from auditor.store.schema import ensure
from auditor.store.soundness import model_differs
from auditor.store.states import SqlStates, StateCache


class SqlStore(SqlParts, SqlLossWriter, SqlStates, SqlDeliveries, SqlQueries):
    """ports.Store over SQLAlchemy.

    Every method is one transaction, and every failure a StoreError. SQLite is made and upgraded on opening; a PostgreSQL
    database of an older schema is refused (`schema_behind`) until `auditor db upgrade` has run. Threads may share it; a
    fork may not.

    Parameters
    ----------
    url : str or URL
        `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`; see `Database`.
    read_only : bool
        Open beside a running writer; whatever writes then raises StoreError `read_only`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SqlStore(f"sqlite:///{folder}/auditor.db")
    ...     store.models()
    ...     store.close()
    []
    """

    def __init__(self, url: str | URL, *, read_only: bool = False) -> None:
        super().__init__(Database(url, read_only=read_only))
        self._cache = StateCache()
        self._frame = lru_cache(maxsize=8)(convert.unpack_frame)
        ensure(self._database)

    # -- baselines ---------------------------------------------------------------------------------------------------------

    def pin(self, baseline: Baseline, frame: Frame, state: WindowState) -> None:
        """Keep a baseline with its frame and merged state; the same one again is harmless."""
        rules.belong_together(baseline, frame, state)
        payload, digest = convert.pack_state(state)
        row = {**convert.baseline_row(baseline), "state": payload, "state_digest": digest}
        body = {"digest": frame.digest, "model": frame.model, "body": convert.pack_frame(frame)}
        with self._database.writing() as connection:
            add_new(connection, tables.frames, [body])
            add_new(connection, tables.baselines, [row])

    def baseline(self, model: str) -> tuple[Baseline, Frame, WindowState] | None:
        """The newest one, with its frame and merged state."""
        newest = next(iter(self.baselines(model)), None)
        if newest is None:
            return None
        with self._database.reading() as connection:
            pinned, frames = tables.baselines, tables.frames
            body = connection.scalars(select(frames.c.body).where(frames.c.digest == newest.frame)).one()
            query = select(pinned.c.state, pinned.c.state_digest).where(pinned.c.id == newest.id)
            payload, digest = connection.execute(query).one()
        state = self._cache.get(digest)
        return newest, self._frame(body, newest.frame), state or self._decoded(payload, digest)

    # -- audits ------------------------------------------------------------------------------------------------------------

    def commit(self, audit: Audit, deliveries: Sequence[Delivery] = (), *, sent: Collection[str] = ()) -> None:
        """Run, measurements, verdicts, artifacts, alert changes and deliveries in one transaction.

        A run that is there already is left as it is, alerts included, so that a commit whose answer got lost can be repeated.

        Parameters
        ----------
        deliveries : sequence of Delivery
            What the audit leaves in the outbox.
        sent : collection of str
            Sinks that received them before: their keys are kept, so that none is sent again.

        Raises
        ------
        StoreError
            `revision_taken`, when another run has that revision of the window; nothing is written then.
        """
        audit = rules.settled(audit)
        run = convert.run_row(audit.run)
        with self._database.writing() as connection:
            runs = tables.audit_runs
            same = select(runs.c.id).where(
                (runs.c.id == audit.run.id)
                | (
                    (runs.c.model == run["model"])
                    & (runs.c.start == run["start"])
                    & (runs.c.end == run["end"])
                    & (runs.c.revision == run["revision"])
                )
            )
            there = set(connection.scalars(same))
            if audit.run.id in there:
                return
            if there:
                raise rules.revision_taken(audit.run)
            add(connection, runs, [run])
            add(connection, tables.measurements, [convert.measurement_row(m) for m in audit.measurements])
            add(connection, tables.verdicts, [convert.verdict_row(v) for v in audit.verdicts])
            add(connection, tables.artifacts, [convert.artifact_row(a) for a in audit.artifacts])
            put(connection, tables.alerts, [convert.alert_row(a) for a in rules.changed_alerts(audit).values()])
            contents = {name: convert.checksums(name, getattr(audit, name)) for name in ("measurements", "verdicts")}
            add(connection, tables.row_checksums, [{"run": audit.run.id, "contents": contents}])
            enqueue(connection, deliveries, sent=sent)

    def check_model(self, model: str) -> None:
        """See that the rows which the model's next audit rests on are those that were written.

        Raises
        ------
        StoreError
            `store_damaged`, with the first rows that are not.
        """
        with self._database.reading() as connection:
            found = list(model_differs(connection, model))
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise StoreError("store_damaged", "; ".join(found[:3]) + more, where=self.name, fix=MEND)

    def replay(self, model: str) -> Replay | None:
        """Start of the windows to judge again."""
        known = tables.replays
        query = select(known.c.judge_from, known.c.alerts_from).where(known.c.model == model)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Replay(**row)

    def put_replay(self, model: str, replay: Replay | None) -> None:
        """Keep the start of the windows to judge again; None: none."""
        with self._database.writing() as connection:
            if replay is None:
                connection.execute(delete(tables.replays).where(tables.replays.c.model == model))
            else:
                row = {"model": model, "judge_from": replay.judge_from, "alerts_from": replay.alerts_from}
                put(connection, tables.replays, [row])

    def parts_of(self, run: AuditRun) -> tuple[Sequence[Measurement], Sequence[Verdict]]:
        """The measurements and verdicts of one run, by id."""
        measured, judged = tables.measurements, tables.verdicts
        with self._database.reading() as connection:
            figures = connection.execute(select(measured).where(measured.c.run == run.id).order_by(measured.c.id))
            words = connection.execute(select(judged).where(judged.c.run == run.id).order_by(judged.c.id))
            return (
                [convert.measurement_from(dict(row)) for row in figures.mappings()],
                [convert.verdict_from(dict(row)) for row in words.mappings()],
            )

    def log_command(self, command: Command) -> bool:
        """Keep what a person said; False when it was already there."""
        with self._database.writing() as connection:
            known = tables.commands
            if connection.scalars(select(known.c.id).where(known.c.id == command.id)).first() is not None:
                return False
            add_new(connection, known, [convert.command_row(command)])
            keys.apply(connection, command)
            return True
