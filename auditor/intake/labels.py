"""Labels at rest: every label ever given is kept; the newest one counts.

A file's name ends with the days of the records that it labels (`<first>-<last>`, or `any` where the record is not here
yet), so that a day's labels are found without opening the others.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from auditor.core.record import Label
from auditor.core.rows import Floats, Ints, Strings
from auditor.ports import NumberedLabel, RecordKey

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("value", pa.float64()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("received", pa.int64()),
        ("model", pa.string()),
    ]
)
"""Labels that name no model count for no record; files of older versions lack the column, and theirs count for any model."""
_NAME = re.compile(r"part-.+-(?:(\d{8})-(\d{8})|any)\.parquet")


def files(labels: Sequence[NumberedLabel], days: Mapping[RecordKey, str], segment: str) -> dict[str, tuple[bytes, int]]:
    """The files, by path below `labels/`, that hold these labels: each with how many it holds.

    Parameters
    ----------
    labels : sequence of NumberedLabel
        In the order of arrival.
    days : mapping of (model, id) to str
        The day (`2026-01-31`) of that record, where it is known.
    """
    parts: dict[tuple[str, bool], list[NumberedLabel]] = defaultdict(list)
    for one in labels:
        parts[f"{one.label.time:%Y-%m-%d}", _key(one.label) in days].append(one)
    found = {}
    for (day, known), part in parts.items():
        covered = sorted(days[_key(one.label)].replace("-", "") for one in part) if known else []
        name = f"part-{segment}-{covered[0]}-{covered[-1]}" if known else f"part-{segment}-any"
        table = pa.table(
            {
                **{
                    name: [getattr(one.label, name) for one in part]
                    for name in ("id", "label", "value", "time", "model")
                },
                "received": [one.received for one in part],
            },
            schema=SCHEMA,
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        found[f"day={day}/{name}.parquet"] = buffer.getvalue(), len(part)
    return found


def labels(table: pa.Table) -> list[NumberedLabel]:
    """The labels of a file."""
    return [
        NumberedLabel(row["received"], Label(**{name: row[name] for name in row if name != "received"}))
        for row in table.to_pylist()
    ]


def may_label(name: str, first: str, last: str) -> bool:
    """Whether a file of that name can hold labels of records of the days `first` to `last` (`20260131`)."""
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    return match[1] is None or (match[1] <= last and match[2] >= first)


@dataclass(frozen=True)
class Truth:
    """What is known of the truth: all labels that may concern some records of one model."""

    model: str

    tables: Sequence[pa.Table] = field(default_factory=tuple)

    def of(self, ids: pa.Array) -> tuple[Strings, Floats, Ints]:
        """For each id its label, its value and when it was first labelled (microseconds; -1: it was not)."""
        label: Strings = np.full(len(ids), None, object)
        value: Floats = np.full(len(ids), np.nan)
        first: Ints = np.full(len(ids), -1, np.int64)
        if not self.tables or not len(ids):
            return label, value, first
        table = pa.concat_tables([self._own(table) for table in self.tables])
        place = pc.index_in(table["id"], value_set=ids)
        table = table.filter(place.is_valid())
        row = place.drop_null().to_numpy().astype(np.int64)
        if not len(row):
            return label, value, first
        time = table["time"].cast(pa.int64()).to_numpy()
        order = np.lexsort((table["received"].to_numpy(), time, row))
        row, time = row[order], time[order]
        begins = np.concatenate([[True], row[1:] != row[:-1]])
        ends = np.concatenate([begins[1:], [True]])
        newest = pa.array(order[ends])
        label[row[ends]] = table["label"].take(newest).to_numpy()
        value[row[ends]] = table["value"].take(newest).to_numpy()
        first[row[begins]] = time[begins]
        return label, value, first

    def _own(self, table: pa.Table) -> pa.Table:
        if "model" in table.column_names:
            table = table.filter(pc.equal(table["model"], self.model))
        return table.select(["id", "label", "value", "time", "received"])


def _key(label: Label) -> RecordKey:
    return label.model or "", label.id
