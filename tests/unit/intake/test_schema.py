"""The decoder and the gate keep every limit of every field of `core.record`, at the bound and one beyond it."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest

from auditor.core import gate
from auditor.core import record as core
from auditor.core.errors import RecordError
from auditor.intake.records import keys_hold
from auditor.intake.schema import struct

KINDS = (core.Record, core.Label, core.EnergyReading, core.CaptureTally)
NO_LIMIT = core.Limit()


def samples(hint: Any, limit: core.Limit = NO_LIMIT) -> Iterator[tuple[Any, bool]]:
    """Values of a type, each with whether it is within the limits; the first one is."""
    if get_origin(hint) is Annotated:
        inner, given = get_args(hint)
        yield from samples(inner, given)
        return
    origin, inner = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        yield from variants(hint)
    elif origin in (Union, types.UnionType):
        for arm in inner:
            if arm is not type(None):
                yield from samples(arm)
    elif origin is tuple:
        values = list(samples(inner[0]))
        fine = values[0][0]
        for size, holds in sizes(limit):
            yield [named(fine, index) for index in range(size)], holds
        yield from (([value], holds) for value, holds in values)
    elif origin is not None and issubclass(origin, Mapping):
        keys, values = list(samples(inner[0])), list(samples(inner[1]))
        free = not any(key == "input" for key, _ in keys)
        yield {keys[0][0]: values[0][0]}, True
        if free:
            for size, holds in sizes(limit):
                yield {f"k{index}": values[0][0] for index in range(size)}, holds
        yield from (({key: values[0][0]}, holds) for key, holds in keys)
        yield from (({keys[0][0]: value}, holds) for value, holds in values)
    elif hint is str:
        if limit.one_of is not None:
            yield from ((text, True) for text in limit.one_of)
            yield "none of them", False
        else:
            yield from (("x" * size, holds) for size, holds in sizes(limit))
    elif hint is bool:
        yield from ((True, True), (1, False))
    elif hint is datetime:
        yield from (("2026-01-05T09:00:00Z", True), ("2026-01-05T09:00:00", False))
    else:
        yield 1, True
        for bound, beyond in ((limit.least, -1), (limit.most, 1), (limit.above, 0)):
            if bound is not None:
                if hint is float and abs(bound) > 1e300:
                    yield bound, True
                    continue
                step = beyond * max(1, abs(bound) / 2) if hint is float else beyond
                yield (bound if beyond else bound + 0.5), True
                yield bound + step, False


def sizes(limit: core.Limit) -> Iterator[tuple[int, bool]]:
    yield max(limit.shortest or 0, 1), True
    if limit.shortest:
        yield limit.shortest - 1, False
    if limit.longest is not None:
        yield limit.longest, True
        yield limit.longest + 1, False


def named(value: Any, index: int) -> Any:
    return {**value, "name": f"n{index}"} if isinstance(value, dict) and "name" in value else value


def variants(kind: type) -> Iterator[tuple[dict[str, Any], bool]]:
    """Objects of a type, each with one field at or beyond a bound."""
    hints = gate.hints(kind)
    full = {name: next(value for value, holds in samples(hint) if holds) for name, hint in hints.items()}
    yield full, True
    for name, hint in hints.items():
        for value, holds in samples(hint):
            yield {**full, name: value}, holds
    yield {**full, "colour": 1}, False


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_decoder_gate_and_check_keep_every_limit(kind: type) -> None:
    decode = msgspec.json.Decoder(struct(core.Record)).decode
    seen: set[bool] = set()
    count = 0
    for data, holds in variants(kind):
        outcomes = []
        if kind is core.Record:  # the one type that is decoded
            try:
                outcomes.append(keys_hold(decode(msgspec.json.encode(data))))
            except msgspec.ValidationError:
                outcomes.append(False)
        try:
            read = gate.read(kind, data)
            outcomes.append(True)
            checked = {field.name: getattr(read, field.name) for field in dataclasses.fields(kind)}
            assert gate.over_limit(kind, checked) is None
        except RecordError as error:
            outcomes.append(not error.code)
        assert set(outcomes) == {holds}, str(data)[:300]
        seen.add(holds)
        count += 1
    assert seen == {True, False}
    assert count > 10


def test_every_field_has_the_type_and_default_of_its_dataclass() -> None:
    for kind in (*KINDS, core.Input, core.Output, core.TextOutput, core.EnergyFigure, core.Source, core.ModelRef):
        made = {field.name: field for field in msgspec.structs.fields(struct(kind))}
        for field in dataclasses.fields(kind):
            assert made[field.name].required == (field.default is field.default_factory is dataclasses.MISSING), (
                f"{kind.__name__}.{field.name}"
            )
        assert len(made) == len(dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"groups": {"site": "x" * 2001}}, "groups.site"),
        ({"inputs": (core.Input(name="x" * 201, modality="text"),)}, "inputs[0].name"),
        ({"inputs": (core.Input(name="x", modality="text", scores=(float("nan"),)),)}, "inputs[0].scores[0]"),
        ({"subject": "x" * 2001}, "subject"),
        ({"output": core.Output(text=core.TextOutput(descriptors={"n": "x" * 2001}))}, "output.text.descriptors.n"),
        ({"groups": {f"g{index}": "a" for index in range(65)}}, "groups"),
    ],
)
def test_a_value_beyond_a_limit_is_found_before_delivery(fields: dict[str, Any], where: str) -> None:
    found = gate.over_limit(core.Record, fields)
    assert found is not None
    assert found.where == where


def test_times_outside_the_archive_are_refused() -> None:
    for moment in (datetime(1969, 12, 31, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)):
        with pytest.raises(RecordError, match="1970 to 2199"):
            gate.read(core.Label, {"id": "a", "time": moment, "label": "x"})
