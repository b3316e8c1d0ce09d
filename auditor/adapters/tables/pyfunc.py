"""MLflow pyfunc models: one record for each row of `predict`, one for each `predict_stream`.

Rows are chosen before the call, by their ids, and only the cells of chosen rows are copied. The caller's model is not
changed; what it calls of itself is not recorded a second time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from auditor.adapters.apis.openai_endpoints import CHAT
from auditor.adapters.parts import MOST_PARTS, PartsSite, hold, payloads
from auditor.adapters.rows import Answers, Flight
from auditor.adapters.watching import Session, Watching
from auditor.adapters.web.callable import wrap
from auditor.agent.site import ANSWER, InputSpec, Site, answer_kind
from auditor.agent.snapshot import freeze
from auditor.core.input_names import Part, name_parts
from auditor.core.messages import get, messages_of

ONLY = "input"
"""The name of the input of data without columns."""
FEATURES = "features"
"""The input that undeclared numbers of a row are put into."""
ANSWERS = ("prediction", "predictions", "pred", "output", "answer", "0")
"""Columns of a result that are the answer when it has several and none is called like a part of an answer."""


def watch(model: Any, site: Site) -> Any:
    """The stand-in of a `PyFuncModel`."""
    return PyfuncWatching(model, site).proxy


class PyfuncWatching(Watching):
    """One watched model."""

    def __init__(self, model: Any, site: Site) -> None:
        super().__init__(model, site)
        self.stand_in({"predict": self._predict})
        if callable(getattr(model, "predict_stream", None)):
            self.methods["predict_stream"] = wrap(model.predict_stream, _StreamSite(site))

    def _predict(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
        table = Table(args[0] if args else kwargs.get("data"), self.site.inputs)

        def read(flight: Flight, result: Any) -> Answers:
            rows = answers(self.site, result, flight.count, flight.rows)
            return {name: [row.get(name) for row in rows] for name in ANSWER if any(name in row for row in rows)}

        return self.session(args, kwargs, table.count, lambda: [table], read)


class _StreamSite(PartsSite):
    """A stream is one call: its first row is the request."""

    def find(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        return Table(args[0] if args else kwargs.get("data"), self.inputs).parts([0])[0], 0


# -- rows -------------------------------------------------------------------------------------------------------------


class Table:
    """The rows of what `predict` was given: a frame, columns, a list, an array, or a single thing.

    Attributes
    ----------
    count : int
    """

    def __init__(self, data: Any, specs: Mapping[str, InputSpec] | None) -> None:
        self.value = data
        self.specs = specs
        self._held: list[list[Part]] = []
        self._columns: list[str] | None = None
        self._chat = isinstance(data, Mapping) and isinstance(data.get("messages"), list)
        if hasattr(data, "iloc") and hasattr(data, "columns"):
            self._columns = [str(column) for column in data.columns]
            self.count = len(data)
        elif isinstance(data, Mapping):
            lengths = {_length(value) for value in data.values()}
            self._by_column = not self._chat and len(lengths) == 1 and None not in lengths
            self.count = int(lengths.pop() or 0) if self._by_column else 1
        elif hasattr(data, "shape"):
            self.count = int(data.shape[0]) if len(data.shape) else 1
        else:
            self.count = len(data) if isinstance(data, (list, tuple)) else 1

    def freeze(self, rows: Sequence[int]) -> int:
        """Keep the inputs of these rows; the bytes they take."""
        held = [hold(parts) for parts in self.parts(rows)]
        self.value = None
        self._held = [parts for parts, _ in held]
        return sum(size + 64 for _, size in held)

    def payloads(self, position: int, seen: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The payloads of one kept row."""
        return payloads(self._held[position], self.specs)

    def parts(self, rows: Sequence[int]) -> list[list[Part]]:
        """The inputs of each of these rows."""
        return [self._parts(cells, self.specs) for cells in self._cells(rows)]

    def _cells(self, chosen: Sequence[int]) -> list[Mapping[str, Any]]:
        """Name to value for each chosen row."""
        data = self.value
        if self._columns is not None:
            taken = data.iloc[list(chosen)]
            columns = [taken.iloc[:, place].tolist() for place in range(len(self._columns))]
            return [dict(zip(self._columns, row, strict=True)) for row in zip(*columns, strict=True)]
        if isinstance(data, Mapping):
            if not self._by_column:
                return [data]
            return [{str(name): values[index] for name, values in data.items()} for index in chosen]
        if hasattr(data, "tocsr"):
            data = data.tocsr()[list(chosen)].toarray()
            chosen = range(len(data))
        if hasattr(data, "shape") and len(data.shape):
            data = data.to_numpy() if hasattr(data, "to_numpy") else data
            if len(data.shape) == 2:
                return [{f"x{place}": value for place, value in enumerate(data[index].tolist())} for index in chosen]
            return [{ONLY: data[index]} for index in chosen]
        rows = [data[index] for index in chosen] if isinstance(data, (list, tuple)) else [data]
        return [row if isinstance(row, Mapping) else {ONLY: row} for row in rows]

    def _parts(self, cells: Mapping[str, Any], specs: Mapping[str, InputSpec] | None) -> list[Part]:
        if self._chat and not specs:
            return name_parts(messages_of(cells["messages"]))[0]
        found: list[Part] = []
        if specs is not None:
            for name, spec in specs.items():
                value = cells.get(name)
                if value is None and spec.modality == "tabular" and name not in cells:
                    value = cells  # the row itself, under a name of the deployment's
                if not _absent(value):
                    found.append(Part(name, spec.modality or "", _shaped(value, spec), "plain"))
            return found
        numbers = {}
        for name, value in cells.items():
            if value is None or isinstance(value, (bool, int, float)) or getattr(value, "shape", None) == ():
                numbers[name] = None if _absent(value) else value.item() if hasattr(value, "item") else value
            elif len(found) < MOST_PARTS:
                found.append(Part(name, "", value, "plain"))
        if numbers:
            found.append(Part(FEATURES, "tabular", numbers, "plain"))
        return found


def _length(value: Any) -> int | None:
    """Rows of a column; None for what is no column."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(value) if isinstance(value, (list, tuple)) else None


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shaped(value: Any, spec: InputSpec) -> Any:
    if spec.shape is None:
        return value
    import numpy as np

    return np.asarray(value).reshape(spec.shape)


# -- answers ----------------------------------------------------------------------------------------------------------


def answers(site: Site, result: Any, count: int, chosen: Sequence[int]) -> list[dict[str, Any]]:
    """The answer of each chosen row, frozen; fewer when the result does not go by rows."""
    answer = site.answer
    if answer.extract is not None:
        columns: Mapping[str, Any] = answer.extract(result)
    elif isinstance(result, Mapping) and isinstance(result.get("choices"), list) and count == 1:
        return [{key: value for key, value in CHAT.answer(result).items() if value is not None and key in ANSWER}]
    else:
        columns = _columns(result, count, answer.output)
    if callable(answer.scores):
        columns = {**columns, "scores": answer.scores(result)}
    elif answer.scores is not None:
        columns = {**columns, "scores": get(result, answer.scores)}
    plain = {key: _plain_list(values) for key, values in columns.items() if values is not None}
    if count == 1:
        plain = {
            key: values if isinstance(values, list) and len(values) == 1 else [values] for key, values in plain.items()
        }
    rows = []
    for index in chosen:
        found = {key: freeze(values[index])[0] for key, values in plain.items() if len(values) == count}
        if "?" in found:
            value = found.pop("?")
            found.update({answer.output or answer_kind(value) or "": value} if value is not None else {})
        rows.append({key: value for key, value in found.items() if key in ANSWER})
    return rows


def _columns(result: Any, count: int, output: str | None) -> dict[str, Any]:
    """Parts of the answer as columns; the one under `?` is what `output` or its values' type say."""
    if hasattr(result, "columns") and hasattr(result, "iloc"):
        named = {str(name): result.iloc[:, place] for place, name in enumerate(result.columns)}
    elif isinstance(result, Mapping):
        named = {str(name): values for name, values in result.items()}
    else:
        shape: tuple[int, ...] = getattr(result, "shape", ())
        if len(shape) == 2 and shape[1] > 1:
            return {"scores": result}
        return {"?": result.reshape(-1) if len(shape) == 2 else result}
    known = {name: values for name, values in named.items() if name in ANSWER}
    if not known.keys() & {"label", "value", "text"}:
        place = output if output in named else next((name for name in ANSWERS if name in named), None)
        place = next(iter(named)) if place is None and len(named) == 1 else place
        if place is not None and place not in known:
            known["?"] = named[place]
    return known


def _plain_list(values: Any) -> Any:
    """A column as a list; what is none comes back as it is."""
    if hasattr(values, "tolist") and getattr(values, "shape", ()) != ():
        return values.tolist()
    return list(values) if isinstance(values, tuple) else values
