"""Decoders made for records that look alike, as a model's records do: the same keys, and values of the same kinds.

A shape is learned from a record that the general decoder has read. It takes exactly the records that have the same model,
the same inputs with the same descriptors, the same groups, and no other field; of these it makes the same canonical bytes
and the same columns as the general way (`records`, `columns`), at half the cost, since no key is looked up twice. What it
refuses goes the general way, which alone decides what is wrong with a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import pyarrow as pa
from msgspec.structs import FieldInfo, fields

from auditor.core.record import EARLIEST, LATEST, Scalar
from auditor.intake import columns, schema
from auditor.intake.records import CANONICAL, Body

REFUSALS = (msgspec.DecodeError, ValueError, RecursionError)
"""What a decoder raises for a document that it does not take."""
_ENOUGH = 16
"""Records of one shape that make it worth a decoder of its own, which costs as much as they do."""
_AT_ONCE = 4
"""Shapes that are tried before a record goes the general way."""
_PATIENCE = 256
"""Records that no shape took, beyond those that one did, before shapes are given up: these records do not look alike."""
_AGAIN = 100 * _PATIENCE
"""Records after which shapes are given another chance."""
A = TypeVar("A")
Key = tuple[Any, ...]


class Shape:
    """How some model's records look, from one of them.

    Attributes
    ----------
    model : str
    kind : type
        What its rows are.
    decoders : mapping of str to callable
        By kind of frame: bytes to a row, which has at least `id` and `time`; one of `REFUSALS` when it looks otherwise.
    """

    def __init__(self, record: schema.Record) -> None:
        self.model = record.model.name
        self._inputs = [entry.name for entry in record.inputs]
        self.kind = _record(record)
        self.decoders = {
            "record": msgspec.json.Decoder(self.kind).decode,
            "packed": msgspec.msgpack.Decoder(self.kind).decode,
        }

    def table(self, rows: Sequence[Any]) -> pa.Table:
        """What `columns.pack` makes of the same records, in the order of the rows."""
        return columns.tabulate(rows)


class Shapes:
    """The shapes that a stream of records has shown; the one that fitted last comes first."""

    def __init__(self) -> None:
        self._known: list[Shape] = []
        self._seen: Counter[Key] = Counter()
        self._missed = 0

    @property
    def first(self) -> Shape | None:
        """The shape to try first."""
        return self._known[0] if self._known else None

    def read(self, take: Callable[[Shape], A | None]) -> tuple[Shape, A] | None:
        """The first shape for which `take` gives something, and what it gives."""
        for index, shape in enumerate(self._known):
            found = take(shape)
            if found is not None:
                self._known.insert(0, self._known.pop(index))
                self._missed = max(self._missed - 1, 0)
                return shape, found
        return None

    def learn(self, record: schema.Record) -> None:
        """See a record that no shape took; a shape for the next ones, once there have been enough like it."""
        self._missed += 1
        if self._missed > _PATIENCE:
            self._known.clear()
            self._seen.clear()
            self._missed %= _AGAIN
            return
        key = _key(record)
        if len(self._seen) > _PATIENCE:
            self._seen.clear()
        self._seen[key] += 1
        if self._seen[key] < _ENOUGH:
            return
        del self._seen[key]
        self._known = [_shape(_Sample(key, record)), *self._known[: _AT_ONCE - 1]]


def read(shape: Shape, kind: str, payload: bytes) -> Any:
    """The row of that shape, or None when the record looks otherwise, or its time is not as the archive keeps it."""
    try:
        row: Any = shape.decoders[kind](payload)
    except REFUSALS:
        return None
    return row if timely(row) else None


def read_body(shape: Shape, kind: str, body: bytes) -> Any:
    """A whole body (`records.Body`) all of whose records have that shape, or None; there is at least one."""
    try:
        found: Any = _body_decoder(shape, kind)(body)
    except REFUSALS:
        return None
    times = [row.time for row in found.records]
    if {time.tzinfo for time in times} != {UTC} or not (min(times) >= EARLIEST and max(times) < LATEST):
        return None
    return found


@lru_cache(maxsize=64)
def _body_decoder(shape: Shape, kind: str) -> Callable[[bytes], Any]:
    found = Body[shape.kind, schema.Name]  # type: ignore[name-defined]
    return msgspec.json.Decoder(found).decode if kind == "records" else msgspec.msgpack.Decoder(found).decode


def timely(row: Any) -> bool:
    """Whether the time of a row is as the archive keeps it."""
    time = row.time
    return time.tzinfo is UTC and EARLIEST <= time < LATEST


class _Sample:
    """A record that stands for all of its key."""

    def __init__(self, key: Key, record: schema.Record) -> None:
        self.key = key
        self.record = record

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sample) and self.key == other.key


@lru_cache(maxsize=256)
def _shape(sample: _Sample) -> Shape:
    return Shape(sample.record)


def _key(record: schema.Record) -> Key:
    """Equal for records that one shape takes."""
    output = record.output
    text = output.text if output is not None else None
    return (
        record.model.name,
        _present(record),
        _present(record.model),
        tuple((entry.name, entry.modality, _present(entry), _kinds(entry.descriptors)) for entry in record.inputs),
        None if output is None else _present(output),
        None if text is None else (_present(text), _kinds(text.descriptors)),
        tuple(record.groups),
    )


def _kinds(descriptors: Mapping[str, Scalar]) -> frozenset[tuple[str, type]]:
    return frozenset((name, type(value)) for name, value in descriptors.items())


def _present(value: Any) -> tuple[str, ...]:
    return tuple(field.name for field in _declared(value.__class__) if getattr(value, field.name) != _default(field))


_declared: Callable[[Any], tuple[FieldInfo, ...]] = lru_cache(maxsize=32)(fields)


def _default(field: FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _record(record: schema.Record) -> type[msgspec.Struct]:
    special: dict[str, Any] = {
        "model": _like(record.model, {"name": Literal[record.model.name]}),
        "inputs": tuple[tuple(_input(entry) for entry in record.inputs)],  # type: ignore[misc]
    }
    if record.sampling < schema.WHOLE:
        special["sampling"] = Annotated[float, msgspec.Meta(gt=0.0, lt=schema.WHOLE)]
    if record.groups:
        special["groups"] = _object("Groups", dict.fromkeys(record.groups, schema.Text | None))
    if record.output is not None:
        text = record.output.text
        special["output"] = _like(record.output, {} if text is None else {"text": _described(text)})
    return _like(record, special)


def _input(entry: schema.Input) -> type[msgspec.Struct]:
    return _described(entry, name=Literal[entry.name], modality=Literal[entry.modality])


def _described(value: Any, **special: Any) -> type[msgspec.Struct]:
    """A type for an input or a text with descriptors like these; without any, the field is left out."""
    if value.descriptors:
        kinds = {float: schema.Finite, str: schema.Text, type(None): None}
        special["descriptors"] = _object("Descriptors", {name: kinds[type(v)] for name, v in value.descriptors.items()})
    return _like(value, special)


def _like(value: Any, special: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A type with the fields that `value` has; those in `special` must be there and have another type."""
    made: list[Any] = []
    for field in _declared(value.__class__):
        if field.name in special:
            made.append((field.name, special[field.name]))
        elif field.required:
            made.append((field.name, field.type))
        elif getattr(value, field.name) != _default(field):
            made.append((field.name, field.type, field.default))
    return _struct(type(value).__name__, made)


def _object(name: str, kinds: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A type for a mapping with exactly these keys, in the order in which the canonical spelling has them."""
    order = list(msgspec.json.decode(CANONICAL.encode(dict.fromkeys(kinds, 0))))
    rename = {f"f{index}": key for index, key in enumerate(order)}
    return _struct(name, [(place, kinds[key]) for place, key in rename.items()], rename)


def _struct(name: str, made: Sequence[Any], rename: Mapping[str, str] | None = None) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        made,
        rename=rename,
        frozen=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        kw_only=True,
        gc=False,
    )
