"""What a neural network answered, row by row: from tensors, model outputs, mappings, or what `extract` makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.adapters.rows import Flight
from auditor.adapters.tensors import Lazy, Taken, is_array, length, take, vector
from auditor.agent.site import ANSWER, Answer

_PLAIN = ANSWER[:-1]


class Reader:
    """How the result of a call becomes the answers of its described rows.

    Parameters
    ----------
    answer : Answer
        The options `output`, `scores` and `extract` of the watched thing.
    each : bool
        Whether results have a row for each row of the call.
    classes : sequence of str, optional
        Names of the classes, by index.
    """

    def __init__(self, answer: Answer, *, each: bool = True, classes: Sequence[str] | None = None) -> None:
        self.answer = answer
        self.each = each
        self.classes = None if classes is None else [str(name) for name in classes]

    def read(self, flight: Flight, result: Any) -> dict[str, Any]:
        """Frozen parts of the answer, with what hooks saw of the inputs."""
        found = self._said(flight, result)
        inputs = self.seen(flight)
        for name, fields in found.get("inputs", {}).items():
            inputs.setdefault(name, {}).update(fields)
        if inputs:
            found["inputs"] = inputs
        return found

    @staticmethod
    def seen(flight: Flight) -> dict[str, dict[str, Any]]:
        """What hooks saw of the inputs while the call ran."""
        inputs: dict[str, dict[str, Any]] = {}
        for (name, field), fires in flight.taps.items():
            inputs.setdefault(name, {})[field] = gathered(fires, flight)
        return inputs

    def _said(self, flight: Flight, result: Any) -> dict[str, Any]:
        answer = self.answer
        if answer.extract is not None:
            return self._parts(flight, {key: value for key, value in answer.extract(result).items() if key in ANSWER})
        found = self._parts(
            flight, {key: result[key] for key in _PLAIN if isinstance(result, Mapping) and key in result}
        )
        scores = self._scores(flight, result)
        if not found:
            found = self._main(flight, _main(result), scores)
        return found if scores is None else {**found, "scores": scores}

    def _parts(self, flight: Flight, said: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {key: self._take(flight, value) for key, value in said.items() if key != "inputs"}
        if isinstance(said.get("inputs"), Mapping):
            found["inputs"] = {
                name: {
                    field: value if field == "encoder" else self._take(flight, value) for field, value in fields.items()
                }
                for name, fields in said["inputs"].items()
            }
        return found

    def _take(self, flight: Flight, value: Any) -> Any:
        return take(value, flight.rows if self.each and length(value) == flight.count else None)

    def _scores(self, flight: Flight, result: Any) -> Any:
        said = self.answer.scores
        if said is None:
            return None
        if callable(said):
            return self._take(flight, said(result))
        return self._take(flight, result[said] if isinstance(result, Mapping) else getattr(result, said))

    def _main(self, flight: Flight, value: Any, scores: Any) -> dict[str, Any]:
        """The answer in a result that carries no names."""
        kind = self.answer.output or self._kind(value)
        if kind is None or value is None:
            return {}
        taken = self._take(flight, value)
        if kind == "value":
            return {"value": Lazy(lambda position: one(taken.at(position)))}
        if kind == "text":
            return {"text": taken}
        if kind == "label":
            return self.labels(taken if scores is None else scores, taken)
        return {"scores": Lazy(lambda position: flat(taken.at(position)))}

    def labels(self, scores: Taken | Lazy, answer: Taken | Lazy | None = None) -> dict[str, Any]:
        """The likeliest class of each row, with the scores; answers that are no scores are classes themselves."""
        answer = answer or scores

        def label(position: int) -> Any:
            row = answer.at(position)
            if getattr(row, "size", 1) > 1:
                row = flat(scores.at(position)).argmax()
            return self.class_name(row)

        def score(position: int) -> Any:
            row = scores.at(position)
            return flat(row) if getattr(row, "size", 1) > 1 else None

        return {"label": Lazy(label), "scores": Lazy(score)}

    def class_name(self, value: Any) -> Any:
        """The name of a class, where names are known."""
        plain = value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else value
        known = self.classes is not None and isinstance(plain, int) and 0 <= plain < len(self.classes)
        return self.classes[plain] if known and self.classes is not None else plain

    def _kind(self, value: Any) -> str | None:
        """What a result is when nobody said so: one float a row is a value, one integer a label, several are scores."""
        if is_array(value):
            width = _width(value, self.each)
            whole = not str(value.dtype).rpartition(".")[2].startswith(("float", "bfloat"))
            if width == 1:
                return "label" if whole else "value"
            return None if whole or width is None else "scores"
        if isinstance(value, str) or (length(value) and all(isinstance(entry, str) for entry in value)):
            return "text"
        return None


def gathered(fires: list[Taken], flight: Flight) -> Lazy:
    """One vector for each chosen row, from what a layer gave while the call ran.

    A layer that gave a row for each row of the call is believed at its first; one that ran in batches, all together; for
    a call of one row anything is pooled. Else nothing is known of the rows: None.
    """
    count, rows = flight.count, flight.rows
    arrays: list[Any] = []

    def at(position: int) -> Any:
        if not arrays:
            arrays.extend(fire.at(0) for fire in fires)
        row = rows[position]
        if len(arrays[0]) == count and arrays[0].ndim == 2:
            return arrays[0][row]
        if sum(len(array) for array in arrays) == count and arrays[0].ndim == 2:
            for array in arrays:
                if row < len(array):
                    return array[row]
                row -= len(array)
        return vector(arrays[0]) if count == 1 else None

    return Lazy(at)


def one(row: Any) -> Any:
    """The one number of a row; ValueError when it holds several."""
    return row.item() if hasattr(row, "item") else row


def flat(row: Any) -> Any:
    """The scores of one row as one vector."""
    return row.reshape(-1) if hasattr(row, "reshape") else row


def _width(value: Any, each: bool) -> int | None:
    """Numbers in a row, when a row is a number or a vector."""
    shape = tuple(value.shape)[1:] if each else tuple(value.shape)
    if sum(size > 1 for size in shape) > 1:
        return None
    return max(shape, default=1)


def _main(result: Any) -> Any:
    """The tensor that is the answer: logits, or the first thing in a tuple or a mapping."""
    if isinstance(result, Mapping):
        found = result.get("logits")
        return next(iter(result.values()), None) if found is None else found
    if isinstance(result, (list, tuple)) and result and is_array(result[0]):
        return result[0]
    return getattr(result, "logits", result) if not is_array(result) else result
