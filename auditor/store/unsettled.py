"""Labels that count for no record: those without one yet, and those that fit records of several models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, exists, func, or_, select, update

from auditor.core.record import Label
from auditor.core.window import from_us
from auditor.ports import NumberedLabel, UnsettledLabels
from auditor.store.database import Database, in_pieces, put
from auditor.store.tables import record_index, unsettled_labels

UNMATCHED, FOUND, AMBIGUOUS = "unmatched", "found", "ambiguous"


class SqlUnsettledLabels:
    """The part of ports.RecordIndex that is about labels, and `unsettled_labels` of ports.Queries."""

    _database: Database

    def keep_unsettled(self, labels: Sequence[NumberedLabel]) -> None:
        """Keep labels that no single record can be found for; repeating it is harmless."""
        if not labels:
            return
        known, index = unsettled_labels, record_index
        fits = (index.c.id == known.c.id) & or_(known.c.model.is_(None), known.c.model == index.c.model)
        with self._database.writing() as connection:
            put(connection, known, [_row(one, UNMATCHED) for one in labels])
            for numbers in in_pieces([one.received for one in labels]):
                arrived = update(known).where(known.c.received.in_(numbers), exists().where(fits))
                connection.execute(arrived.values(state=FOUND))

    def found_labels(self) -> Sequence[NumberedLabel]:
        """Unmatched labels whose record has arrived since, in the order of their arrival."""
        known = unsettled_labels.c
        query = select(known.received, known.id, known.time, known.label, known.value, known.model)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(known.state == FOUND).order_by(known.received)).all()
        return [
            NumberedLabel(received, Label(id=name, time=time, label=label, value=value, model=model))
            for received, name, time, label, value, model in rows
        ]

    def settle_labels(self, settled: Sequence[NumberedLabel], ambiguous: Sequence[NumberedLabel] = ()) -> None:
        """Forget labels whose record was found; keep those that fit records of several models as ambiguous.

        A label that names its model settles earlier ones of its id that were ambiguous.
        """
        known = unsettled_labels
        with self._database.writing() as connection:
            if not ambiguous and connection.execute(select(known.c.id).limit(1)).first() is None:
                return
            for numbers in in_pieces([one.received for one in settled]):
                connection.execute(delete(known).where(known.c.received.in_(numbers)))
            for ids in in_pieces([one.label.id for one in settled if one.label.model is not None]):
                connection.execute(delete(known).where(known.c.id.in_(ids), known.c.state == AMBIGUOUS))
            put(connection, known, [_row(one, AMBIGUOUS) for one in ambiguous])

    def unsettled_labels(self) -> UnsettledLabels:
        """How many ids have a label and no record, since when; and how many have one that fits several."""
        known = unsettled_labels.c
        query = select(known.state, func.count(known.id.distinct()), func.min(known.received)).group_by(known.state)
        with self._database.reading() as connection:
            found = {state: (count, first) for state, count, first in connection.execute(query)}
        unmatched, first = found.get(UNMATCHED, (0, None))
        since = None if first is None else from_us((first >> 20) * 1000)
        return UnsettledLabels(unmatched, found.get(AMBIGUOUS, (0, None))[0], since)


def mark_found(connection: Connection, ids: Iterable[str]) -> None:
    """Records with these ids are in the index now, in the caller's transaction: labels that wait for them are found."""
    known = unsettled_labels
    waits = select(known.c.id).where(known.c.state == UNMATCHED)
    if connection.execute(waits.limit(1)).first() is None:
        return
    for some in in_pieces(list(ids)):
        found = update(known).where(known.c.id.in_(some), known.c.state == UNMATCHED)
        connection.execute(found.values(state=FOUND))


def _row(one: NumberedLabel, state: str) -> dict[str, object]:
    label = one.label
    return {
        "received": one.received,
        "id": label.id,
        "model": label.model,
        "label": label.label,
        "value": label.value,
        "time": label.time,
        "state": state,
    }
