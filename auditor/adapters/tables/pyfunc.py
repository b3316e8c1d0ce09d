"""MLflow pyfunc models: one record for each row of `predict`, one for each `predict_stream`.

Rows are chosen before the call, by their ids, and only the cells of chosen rows are copied. The caller's model is not
changed; what it calls of itself is not recorded a second time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter, thread_time
from typing import Any

from auditor.adapters._request_parts import MOST_PARTS, hold, payloads
from auditor.adapters._rows import finish_rows, of_row, row_ids
from auditor.adapters.apis._openai_endpoints import CHAT
from auditor.adapters.proxy import make_proxy
from auditor.adapters.web.callable import wrap
from auditor.agent.call import Call, call_context
from auditor.agent.ids import new_id
from auditor.agent.shield import shield
from auditor.agent.site import ANSWER, OFF, InputSpec, Site, answer_kind
from auditor.agent.snapshot import freeze
from auditor.core.messages import Part, get, messages_of, name_parts

ONLY = "input"
"""The name of the input of data without columns."""
FEATURES = "features"
"""The input that undeclared numbers of a row are put into."""
ANSWERS = ("prediction", "predictions", "pred", "output", "answer", "0")
"""Columns of a result that are the answer when it has several and none is called like a part of an answer."""


def watch(model: Any, site: Site) -> Any:
    """The stand-in of a `PyFuncModel`."""
    methods: dict[str, Callable[..., Any]] = {"predict": _rowwise(model, site)}
    if callable(getattr(model, "predict_stream", None)):
        methods["predict_stream"] = wrap(model.predict_stream, _StreamSite(site))
    return make_proxy(model, methods, site)


def _rowwise(model: Any, site: Site) -> Callable[..., Any]:
    recorder = site.recorder

    @functools.wraps(model.predict)
    def predict(*args: Any, **kwargs: Any) -> Any:
        try:
            call = _begin(site, args, kwargs)
            began = perf_counter()
        except Exception:
            call, began = None, 0.0
        try:
            result = model.predict(*args, **kwargs)
        except BaseException as error:
            try:
                _finish(site, call, began, None, error)
            except Exception:
                recorder.fail()
            raise
        try:
            _finish(site, call, began, result, None)
        except Exception:
            recorder.fail()
        return result

    return predict


class _StreamSite(Site):
    """A stream is one call: its first row is the request."""

    def __init__(self, given: Site) -> None:
        self.__dict__.update(given.__dict__)
        self.given = given

    @property
    def live(self) -> bool:  # type: ignore[override]
        """Until the model is no longer watched."""
        return self.given.live

    def take_inputs(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        table = Table(args[0] if args else kwargs.get("data"))
        parts, size = table.rows([0], self.inputs)
        call.split = Rows([call.id], [0], parts, self.inputs)
        call.size += size
        _take_groups(self, call, args, kwargs)


# -- rows -------------------------------------------------------------------------------------------------------------


class Table:
    """The rows of what `predict` was given: a frame, columns, a list, an array, or a single thing.

    Attributes
    ----------
    count : int
    """

    def __init__(self, data: Any) -> None:
        self._data = data
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

    def rows(self, chosen: Sequence[int], specs: Mapping[str, InputSpec] | None) -> tuple[list[list[Part]], int]:
        """(the held inputs of each chosen row, their size in bytes)."""
        held = [hold(self._parts(cells, specs)) for cells in self._cells(chosen)]
        return [parts for parts, _ in held], sum(size + 64 for _, size in held)

    def _cells(self, chosen: Sequence[int]) -> list[Mapping[str, Any]]:
        """Name to value for each chosen row."""
        data = self._data
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


class Rows:
    """The chosen rows of one call (`Call.split`)."""

    __slots__ = ("answers", "chosen", "ids", "parts", "specs")

    def __init__(
        self,
        ids: Sequence[str],
        chosen: Sequence[int],
        parts: list[list[Part]],
        specs: Mapping[str, InputSpec] | None,
    ) -> None:
        self.ids = ids
        self.chosen = chosen
        self.parts = parts
        self.specs = specs
        self.answers: list[dict[str, Any]] = []

    def __call__(self, call: Call) -> list[Call]:
        if call.rows == 1 and not self.answers:  # a stream, whose answer was read already
            call.payloads = self._payloads(0)
            return [call]
        return [self._row(call, place, index) for place, index in enumerate(self.chosen)]

    def _row(self, call: Call, place: int, index: int) -> Call:
        row = Call(self.ids[index], call.us, call.site, call.rate, call.process_token)
        row.payloads = self._payloads(place)
        row.groups = {name: of_row(value, index, call.rows) for name, value in (call.groups or {}).items()}
        row.subject = call.subject
        row.error = call.error
        row.latency_s = None if call.latency_s is None else call.latency_s / call.rows
        row.cpu = call.cpu / call.rows
        row.found = self.answers[place] if place < len(self.answers) else {}
        return row

    def _payloads(self, place: int) -> list[tuple[Any, ...]]:
        """The row's inputs; an empty modality is left to the value to tell."""
        found = payloads(self.parts[place], self.specs)
        return [(name, value, modality or None, *rest) for name, value, modality, *rest in found]


def _begin(site: Site, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    recorder = site.recorder
    if not (recorder.live and site.live):
        return OFF
    with shield(recorder.faults, "begin_failed"):
        table = Table(args[0] if args else kwargs.get("data"))
        us = recorder.now_us()
        said = call_context.get()
        ids = row_ids(None if said is None else said.take_id(), us, table.count)
        call = site.open(ids[0] if ids else new_id(us // 1000), us)
        call.rows = table.count
        chosen = (
            [] if not recorder.has_destination else [index for index, name in enumerate(ids) if recorder.chooses(name)]
        )
        if chosen:
            parts, size = table.rows(chosen, site.inputs)
            call.split = Rows(ids, chosen, parts, site.inputs)
            call.size += size
            _take_groups(site, call, args, kwargs)
        call.cpu = thread_time() if recorder.metered else 0.0
        return call
    return None


def _take_groups(site: Site, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if site.groups is not None:
        with shield(site.recorder.faults, "groups_unreadable"):
            more = site.groups(*args, **kwargs) if callable(site.groups) else site.groups
            call.groups = {**more, **(call.groups or {})}
    if call.groups:
        call.groups = {name: freeze(_plain_list(value))[0] for name, value in call.groups.items()}


def _finish(site: Site, call: Any, began: float, result: Any, error: BaseException | None) -> None:
    def read() -> None:
        call.split.answers = answers(site, result, call.rows, call.split.chosen)

    finish_rows(site, call, began, error, read)


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
