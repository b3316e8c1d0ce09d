"""scikit-learn estimators and pipelines: `predict` and `predict_proba`, one record for each row.

The caller's estimator is not changed; `clone`, `get_params` and pickle see the original. A model that calls its own
methods (`predict` of a meta-estimator asks `predict_proba` of its parts) is recorded once: only the caller's calls are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auditor.adapters.rows import Answers, Column, Flight
from auditor.adapters.tensors import Lazy, length, take
from auditor.adapters.watching import Enter, Session, Watching
from auditor.agent.site import InputSpec, Site
from auditor.core.errors import ConfigurationError

PREDICTS = ("predict", "predict_proba")


def watch(model: Any, site: Site) -> Any:
    """The estimator's stand-in; ConfigurationError when it does not predict."""
    return EstimatorWatching(model, site).proxy


class EstimatorWatching(Watching):
    """One watched estimator."""

    def __init__(self, model: Any, site: Site) -> None:
        super().__init__(model, site)
        methods = {name: self._enter(name) for name in PREDICTS if callable(getattr(type(model), name, None))}
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
        self.stand_in(methods, ["fit"])

    def _enter(self, method: str) -> Enter:
        def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
            data: Any = args[0] if args else kwargs.get("X")
            count = int(data.shape[0]) if hasattr(data, "shape") else len(data)
            return self.session(
                args,
                kwargs,
                count,
                lambda: [self._column(data)],
                lambda flight, result: self._answers(method, flight, result),
            )

        return enter

    def _column(self, data: Any) -> Column:
        """The one input: the row under the names of its columns, or in the shape that the deployment declared."""
        spec = next(iter((self.site.inputs or {}).values()), InputSpec("features"))
        columns = getattr(data, "columns", None)
        names = None if columns is None else [str(column) for column in columns]
        values = data.to_numpy() if columns is not None else data.toarray() if hasattr(data, "toarray") else data
        return Column(
            spec.name,
            values,
            each=True,
            modality=spec.modality or ("text" if isinstance(values[0], str) else "tabular"),
            rate=None if isinstance(spec.rate, str) else spec.rate,
            encoder=spec.encoder,
            convert=_converter(spec, names),
        )

    def _answers(self, method: str, flight: Flight, result: Any) -> Answers:
        """Answers by row: scores and the likeliest class, or classes, or values."""
        answer = self.site.answer
        if answer.extract is not None:
            found = {name: value for name, value in answer.extract(result).items() if length(value) == flight.count}
            return {name: take(value, flight.rows) for name, value in found.items()}
        classes = getattr(self.model, "classes_", None)
        taken = take(result, flight.rows)
        if method == "predict_proba":
            if classes is None or getattr(result, "ndim", 0) != 2:
                return {"scores": taken}
            return {"scores": taken, "label": Lazy(lambda position: classes[taken.at(position).argmax()])}
        kind = answer.output
        if kind is None:
            numeric = getattr(getattr(result, "dtype", None), "kind", "O") == "f"
            kind = "value" if numeric and classes is None else "label"
        return {kind: taken} if getattr(result, "ndim", 1) == 1 else {}


def _converter(spec: InputSpec, names: Sequence[str] | None) -> Callable[[Any], Any]:
    """Makes the payload of a row; called in the worker."""

    def convert(row: Any) -> Any:
        if spec.shape is not None:
            return row.reshape(spec.shape)
        if spec.modality not in (None, "tabular") or isinstance(row, (str, Mapping)):
            return row
        cells = zip(names or [f"x{number}" for number in range(len(row))], row, strict=False)
        return {name: value.item() if hasattr(value, "item") else value for name, value in cells}

    return convert
