"""What is new, what is a duplicate, what contradicts: asked of the index and of what has been written since the last drain.

The index is the truth, but it learns of a record only at the drain, and may be away. In between stand the payloads
written lately, as many as fit `RECENT` bytes; what neither knows is taken, and settled at the drain.
"""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auditor.core.errors import RecordError, StoreError
from auditor.core.identity import canonical_json
from auditor.core.record import Label
from auditor.intake import schema
from auditor.intake.records import MEDIA, WHOLE, content_digest, cut, read_record, settled
from auditor.ports import IndexEntry, RecordKey
from auditor.service.access import Principal
from auditor.service.parsing import Batch
from auditor.service.refusals import RequestError
from auditor.store.queries import SqlQueries, open_queries

RECENT = 32 << 20
"""Bytes of payloads that are kept to be compared with."""
ASK_S = 0.25
"""How long a settled batch may wait for an index that lies on another machine."""
REST_S = 5.0
"""After a failure the index is left alone for this long."""
_log = logging.getLogger("auditor")
_CONFLICT = RecordError(
    "id_conflict", "the same id stands for a record with other content", fix="give every record an id of its own"
)
_UNKNOWN = RecordError(
    "unknown_record", "no model of this key has a record of this id (yet)", fix="name the label's model"
)
_SEVERAL = RecordError("ambiguous_label", "several models have a record of this id", fix="name the label's model")
JournalFrame = tuple[str, bytes]
Frames = list[JournalFrame]


class IndexAsker:
    """Lines of the record index, or None when they cannot be had in time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reading: SqlQueries | None = None
        self._rest_until = 0.0
        self._helper: concurrent.futures.ThreadPoolExecutor | None = None

    def locate(self, ids: Sequence[str]) -> Mapping[RecordKey, IndexEntry] | None:
        """As `RecordIndex.locate`."""
        if not ids:
            return {}
        if time.monotonic() < self._rest_until:
            return None
        try:
            if self._reading is not None and self._reading.dialect == "sqlite":
                return self._reading.locate(ids)
            if self._helper is None:
                self._helper = concurrent.futures.ThreadPoolExecutor(1, "auditor-index")
            return self._helper.submit(self._ask, list(ids)).result(ASK_S)
        except StoreError as error:
            if error.code == "no_store":
                return {}
            self._rest(str(error))
        except concurrent.futures.TimeoutError:
            # Whoever hangs keeps the old helper; it is left to end by itself.
            self._rest("no answer in time")
            assert self._helper is not None
            self._helper.shutdown(wait=False, cancel_futures=True)
            self._helper, self._reading = None, None
        return None

    def close(self) -> None:
        if self._helper is not None:
            self._helper.shutdown(wait=False, cancel_futures=True)
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _ask(self, ids: Sequence[str]) -> Mapping[RecordKey, IndexEntry]:
        if self._reading is None:
            self._reading = open_queries(self._url)
        return self._reading.locate(ids)

    def _rest(self, why: str) -> None:
        _log.warning("auditor: the index cannot be asked (%s): ids are settled at the drain", why)
        self._rest_until = time.monotonic() + REST_S


@dataclass(slots=True, eq=False)
class _Written:
    """A frame, the records in it and their model."""

    frame: JournalFrame
    ids: Sequence[str]
    model: str
    mark: int
    parts: dict[str, JournalFrame] | None = None
    """The frames of its single records, made when first needed."""

    def part(self, identifier: str) -> JournalFrame:
        if self.frame[0] not in WHOLE:
            return self.frame
        if self.parts is None:
            self.parts = dict(zip(self.ids, cut(*self.frame), strict=True))
        return self.parts[identifier]


class Recent:
    """Payloads written since the last drain, by model and id: the newest that fit."""

    def __init__(self, limit: int = RECENT) -> None:
        self.limit = limit
        self._bytes = 0
        self._found: dict[str, dict[str, _Written]] = {}
        self._order: deque[_Written] = deque()
        self._mark = 0

    def get(self, model: str, identifier: str) -> JournalFrame | None:
        """What was written, as a frame by itself."""
        found = self._found.get(model, {}).get(identifier)
        return None if found is None else found.part(identifier)

    def knows(self, model: str, ids: Sequence[str]) -> bool:
        """Whether any of them was written."""
        return not self._found.get(model, {}).keys().isdisjoint(ids)

    def add(self, ids: Sequence[str], frame: JournalFrame, model: str) -> None:
        """A frame that holds these records, in this order."""
        written = _Written(frame, ids, model, self._mark)
        self._found.setdefault(model, {}).update(dict.fromkeys(ids, written))
        self._order.append(written)
        self._bytes += len(frame[1])
        while self._bytes > self.limit:
            self._drop_oldest()

    def remove(self, model: str, identifier: str) -> None:
        """It was not written after all; its bytes are counted until their turn comes."""
        self._found.get(model, {}).pop(identifier, None)

    def mark(self) -> int:
        """A mark between earlier and later frames: to be given to `forget`."""
        self._mark += 1
        return self._mark

    def forget(self, mark: int) -> None:
        """What was added before the mark is in the index by now."""
        while self._order and self._order[0].mark < mark:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._order.popleft()
        self._bytes -= len(oldest.frame[1])
        found = self._found.get(oldest.model, {})
        for identifier in oldest.ids:
            if found.get(identifier) is oldest:
                del found[identifier]
        if not found:
            self._found.pop(oldest.model, None)


@dataclass(slots=True)
class Settled:
    """Frames to write, records that count as written from now on, and what to answer once they are on disk."""

    frames: Frames = field(default_factory=list)
    added: list[RecordKey] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)


def ids_to_ask(batch: Batch, principal: Principal) -> list[str]:
    """Ids whose lines of the index matter: of records, and of labels that may be of several of the key's models."""
    found = batch.ids()
    if principal.models is not None and len(principal.models) > 1:
        found += [label.id for _, label in batch.labels if label.model is None]
    return found


def settle(batch: Batch, principal: Principal, recent: Recent, known: Mapping[RecordKey, IndexEntry] | None) -> Settled:
    """Decide on every row of a batch; what is new is in `recent` afterwards.

    `known` are lines of the index; None when it cannot be asked.

    Raises
    ------
    RequestError
        403 `wrong_model`, when the key is not for a model that the batch speaks of: none of it is taken then. 503
        when that cannot be known.
    """
    named = batch.models | {label.model for _, label in batch.labels if label.model is not None}
    if any(not principal.sees(model) for model in named):
        raise wrong_model(next(model for model in sorted(named) if not principal.sees(model)))
    labels = _labels(batch, principal, recent, known)
    done = Settled(frames=[*batch.frames, *(("label", canonical_json(label.as_json())) for label in labels)])
    duplicates = 0
    lines = known or {}
    if batch.whole is not None:
        ids = batch.ids()
        model = batch.whole.records[0].model.name
        keys = [(model, identifier) for identifier in ids]
        if len(set(ids)) == len(ids) and lines.keys().isdisjoint(keys) and not recent.knows(model, ids):
            recent.add(ids, batch.whole.frame, model)
            done.frames.append(batch.whole.frame)
            done.added = keys
        else:
            batch.take_apart()
    for index, record, frame in batch.rows:
        key = record.model.name, record.id
        lately = recent.get(*key)
        if lately is None and key not in lines:
            recent.add((record.id,), frame, record.model.name)
            done.added.append(key)
            done.frames.append(frame)
        elif _same(record, frame, lately, lines.get(key)):
            duplicates += 1
        else:
            batch.refuse(index, record.id, _CONFLICT)
    batch.refused.sort(key=lambda row: row["index"])
    done.answer = {
        "accepted": len(done.added) + len(labels),
        "duplicates": duplicates,
        "refused": batch.refused,
        "refused_count": batch.refused_count,
        **batch.more,
    }
    return done


def wrong_model(model: str) -> RequestError:
    """403."""
    return RequestError(
        403,
        "wrong_model",
        f"this key is not for the model {model[:200]!r}",
        fix="use a key for it, or one for all models",
    )


def _same(record: Any, frame: JournalFrame, lately: JournalFrame | None, line: IndexEntry | None) -> bool:
    if lately is not None:
        kind, payload = lately
        return lately == frame or content_digest(read_record(payload, MEDIA[kind])) == _digest(record)
    return line is not None and line.digest == _digest(record)


def _digest(record: Any) -> str:
    # Other spellings than the usual one come as the general type.
    return content_digest(settled(record) if isinstance(record, schema.Record) else record)


def _labels(
    batch: Batch, principal: Principal, recent: Recent, known: Mapping[RecordKey, IndexEntry] | None
) -> list[Label]:
    """Labels to write. A key for one model names it; a key for some finds which of them has the record, now."""
    if principal.models is None:
        return [label for _, label in batch.labels]
    kept = []
    for index, label in batch.labels:
        if label.model is None and len(principal.models) > 1 and known is None:
            raise RequestError(
                503,
                "index_unavailable",
                "the models of these records cannot be looked up now",
                fix="name the model of each label, or try again",
                retry_after=5,
            )
        models = [label.model] if label.model is not None else list(principal.models)
        if len(models) > 1:
            lines = known or {}
            models = [name for name in models if (name, label.id) in lines or recent.knows(name, [label.id])]
        if len(models) == 1:
            kept.append(replace(label, model=models[0]))
        else:
            batch.refuse(index, label.id, _SEVERAL if models else _UNKNOWN)
    return kept
