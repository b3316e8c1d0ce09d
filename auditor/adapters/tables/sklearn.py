"""scikit-learn estimators and pipelines: `predict` and `predict_proba`, one record for each row.

The caller's estimator is not changed; `clone`, `get_params` and pickle see the original. A model that calls its own
methods (`predict` of a meta-estimator asks `predict_proba` of its parts) is recorded once: only the caller's calls are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from time import perf_counter, thread_time
from typing import Any

from auditor.adapters._rows import finish_rows, of_row, row_ids
from auditor.adapters.proxy import make_proxy
from auditor.agent.call import Call, call_context
from auditor.agent.ids import new_id
from auditor.agent.shield import shield
from auditor.agent.site import OFF, InputSpec, Site
from auditor.agent.snapshot import TooLarge, freeze
from auditor.core.errors import ConfigurationError

PREDICTS = ("predict", "predict_proba")


def watch(model: Any, site: Site) -> Any:
    """The estimator's stand-in; ConfigurationError when it does not predict."""
    methods: dict[str, Callable[..., Any]] = {
        name: _rowwise(model, name, site) for name in PREDICTS if callable(getattr(type(model), name, None))
    }
    if not methods:
        raise ConfigurationError(
            "not_watchable",
            f"a {type(model).__name__} does not predict",
            where="watch",
            fix="watch the estimator that gives the answers",
        )
    if len(site.inputs or ()) > 1:
        raise ConfigurationError(
            "bad_input_option", "an estimator has one input", where="inputs", fix="declare one, or none"
        )
    proxy = make_proxy(model, methods, site)
    if hasattr(type(model), "fit"):
        methods["fit"] = _returning(model.fit, model, proxy)
    return proxy


def _returning(fit: Callable[..., Any], model: Any, proxy: Any) -> Callable[..., Any]:
    """`fit` that gives back the watched estimator where the original gives back itself."""

    @functools.wraps(fit)
    def fitted(*args: Any, **kwargs: Any) -> Any:
        result = fit(*args, **kwargs)
        return proxy if result is model else result

    return fitted


def _rowwise(model: Any, name: str, site: Site) -> Callable[..., Any]:
    unbound = getattr(type(model), name)
    recorder = site.recorder

    @functools.wraps(unbound)
    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            call = _begin(site, args, kwargs)
            began = perf_counter()
        except Exception:
            call, began = None, 0.0
        try:
            result = getattr(model, name)(*args, **kwargs)
        except BaseException as error:
            try:
                _finish(site, model, name, call, began, None, error)
            except Exception:
                recorder.fail()
            raise
        try:
            _finish(site, model, name, call, began, result, None)
        except Exception:
            recorder.fail()
        return result

    return watched


class Batch:
    """The rows of one call, frozen; which of them are described follows from their ids, in the worker."""

    __slots__ = ("bar", "columns", "ids", "outputs", "rows", "spec")

    def __init__(self, ids: Sequence[str], rows: Any, columns: Sequence[str] | None, spec: InputSpec) -> None:
        self.ids = ids
        self.rows = rows
        self.columns = columns
        self.spec = spec
        self.bar: bytes | None = None
        self.outputs: Mapping[str, Any] = {}

    def __call__(self, call: Call) -> list[Call]:
        """The calls of the chosen rows."""
        bar = self.bar
        chosen = (
            index
            for index in range(call.rows)
            if bar is None or blake2b(self.ids[index].encode(), digest_size=8).digest() < bar
        )
        return [self._row(call, index) for index in chosen]

    def _row(self, call: Call, index: int) -> Call:
        row = Call(self.ids[index], call.us, call.site, call.rate, call.process_token)
        spec = self.spec
        modality = spec.modality or ("text" if self._is_text(index) else "tabular")
        rate = None if isinstance(spec.rate, str) else spec.rate
        error = "too_large" if self.rows is None else None
        row.payloads = [(spec.name, self._value(index), modality, rate, None, None, spec.encoder, error)]
        row.groups = {name: of_row(value, index, call.rows) for name, value in (call.groups or {}).items()}
        row.subject = call.subject
        row.error = call.error
        row.latency_s = None if call.latency_s is None else call.latency_s / call.rows
        row.cpu = call.cpu / call.rows
        row.found = {
            name: values if name == "classes" else values[index]
            for name, values in self.outputs.items()
            if name != "classes"
        }
        return row

    def _value(self, index: int) -> Any:
        if self.rows is None:
            return None
        row = self.rows[index]
        if self.spec.shape is not None:
            return row.reshape(self.spec.shape)
        if self.spec.modality not in (None, "tabular") or isinstance(row, (str, Mapping)):
            return row
        names = self.columns or [f"x{number}" for number in range(len(row))]
        return {name: _plain(value) for name, value in zip(names, row, strict=False)}

    def _is_text(self, index: int) -> bool:
        return self.rows is not None and isinstance(self.rows[index], str)


def _begin(site: Site, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    recorder = site.recorder
    if not (recorder.live and site.live):
        return OFF
    with shield(recorder.faults, "begin_failed"):
        data = args[0] if args else kwargs.get("X")
        count = _count(data)
        us = recorder.now_us()
        said = call_context.get()
        ids = row_ids(None if said is None else said.take_id(), us, count)
        call = site.open(ids[0] if ids else new_id(us // 1000), us)
        call.rows = count
        if recorder.has_destination and (count != 1 or recorder.chooses(ids[0])):
            call.split = _batch(site, call, ids, data)
            if site.groups is not None:
                with shield(recorder.faults, "groups_unreadable"):
                    more = site.groups(*args, **kwargs) if callable(site.groups) else site.groups
                    call.groups = {**more, **(call.groups or {})}
            if call.groups:
                call.groups = {name: freeze(value)[0] for name, value in call.groups.items()}
        call.cpu = thread_time() if recorder.metered else 0.0
        return call
    return None


def _batch(site: Site, call: Call, ids: Sequence[str], data: Any) -> Batch:
    spec = next(iter((site.inputs or {}).values()), InputSpec("features"))
    columns = getattr(data, "columns", None)
    values = data.to_numpy() if columns is not None else data.toarray() if hasattr(data, "toarray") else data
    try:
        rows, size = freeze(values)
    except TooLarge:
        rows, size = None, 0
    call.size += size
    batch = Batch(ids, rows, None if columns is None else [str(column) for column in columns], spec)
    batch.bar = site.recorder.bar
    return batch


def _finish(
    site: Site, model: Any, name: str, call: Any, began: float, result: Any, error: BaseException | None
) -> None:
    def read() -> None:
        call.split.outputs = _outputs(site, model, name, result, call.rows)

    finish_rows(site, call, began, error, read)


def _outputs(site: Site, model: Any, name: str, result: Any, count: int) -> dict[str, Any]:
    """Answers by row: scores and the likeliest class, or classes, or values."""
    if site.answer.extract is not None:
        found = site.answer.extract(result)
        return {key: freeze(values)[0] for key, values in found.items() if values is not None and len(values) == count}
    classes = getattr(model, "classes_", None)
    if name == "predict_proba":
        scores, _ = freeze(result)
        if classes is None or getattr(scores, "ndim", 0) != 2:
            return {"scores": scores}
        return {"scores": scores, "label": classes[scores.argmax(axis=1)]}
    answers, _ = freeze(result)
    kind = site.answer.output
    if kind is None:
        numeric = getattr(getattr(answers, "dtype", None), "kind", "O") == "f"
        kind = "value" if numeric and classes is None else "label"
    return {kind: answers} if getattr(answers, "ndim", 1) == 1 else {}


def _count(data: Any) -> int:
    shape = getattr(data, "shape", None)
    return int(shape[0]) if shape is not None else len(data)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
