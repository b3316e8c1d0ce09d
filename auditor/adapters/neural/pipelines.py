"""Hugging Face pipelines: what the host gave (pictures, texts, sounds) and what it got back, item by item.

Inputs are frozen before the call, because some pipelines empty the dictionaries they are given. A list is as many
inferences as it has items. For a generator or a data set the pipeline returns an iterator; the host gets one that passes
for it, each item of it is an inference, and its time is what the iterator took, not the host between two items.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

from auditor.adapters.neural.answers import Reader
from auditor.adapters.neural.embedding_taps import tap_branches, tap_outputs
from auditor.adapters.neural.hooks import encoder_of
from auditor.adapters.neural.pipeline_tasks import Task, task_of
from auditor.adapters.neural.processors import model_name
from auditor.adapters.proxy import make_proxy
from auditor.adapters.rows import Answers, Column, Flight, begin
from auditor.adapters.watching import Session, Watching
from auditor.agent.shield import nothing, sheltered
from auditor.agent.site import Binder, Site


def watch(pipeline: Any, site: Site) -> Any:
    """A stand-in for the pipeline, which passes for it."""
    return PipelineWatching(pipeline, site).proxy


class PipelineWatching(Watching):
    """One watched pipeline."""

    def __init__(self, pipeline: Any, site: Site) -> None:
        self.task: Task = task_of(pipeline)
        super().__init__(pipeline, site, self.task.names)
        self.binder = Binder(type(pipeline).__call__.__get__(pipeline))
        self.encoder: str | None = None
        model = pipeline.model
        if hasattr(model, "register_forward_hook"):
            self.encoder = encoder_of(site, model, model.named_parameters(), model_name(model))
            tap_branches(site, self.open, model)
            tap_outputs(site, self.open, model)
        self.stand_in({"__call__": self.enter})

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
        data, said = self.task.data(self.binder.bind(args, kwargs))
        if isinstance(data, types.GeneratorType) or _is_data_set(data):
            return _Lazily(self, data, said, args, kwargs)
        many = self.task.is_many(data)
        items = list(data) if many else [data]

        def read(flight: Flight, result: Any) -> Answers:
            return self.read(flight, result if many else [result], said)

        return self.session(args, kwargs, len(items), lambda: self.columns(items, said), read)

    def columns(self, items: list[Any], said: Mapping[str, Any]) -> list[Column]:
        """The inputs of the items, by name; one that only some items have is missing in the others."""
        shown = [self.task.shown(item, said) for item in items]
        specs = self.site.inputs
        names = list(dict.fromkeys(name for parts in shown for name in parts)) if specs is None else list(specs)
        return [self._column(name, [parts.get(name) for parts in shown]) for name in names]

    def _column(self, name: str, parts: list[Any]) -> Column:
        spec = (self.site.inputs or {}).get(name)
        known = [part for part in parts if part is not None]
        modality = known[0].modality if known else None
        rates = [None if part is None else part.rate for part in parts]
        given = spec.rate if spec is not None and isinstance(spec.rate, (int, float)) else None
        return Column(
            name,
            [None if part is None else part.value for part in parts],
            each=True,
            modality=(spec.modality if spec is not None else None) or modality,
            rate=rates if given is None else given,
            encoder=(spec.encoder if spec is not None else None) or self.encoder,
            error=[None if part is None else part.error for part in parts],
        )

    def read(self, flight: Flight, results: Any, said: Mapping[str, Any]) -> dict[str, Any]:
        """The answers of the chosen items, part by part."""
        results = list(results)
        answers = [self._answer(results[row], said) for row in flight.rows]
        names = dict.fromkeys(name for answer in answers for name in answer if name != "inputs")
        found: dict[str, Any] = {name: [answer.get(name) for answer in answers] for name in names}
        for name in dict.fromkeys(name for answer in answers for name in answer.get("inputs", {})):
            fields = [answer.get("inputs", {}).get(name, {}) for answer in answers]
            found.setdefault("inputs", {})[name] = {
                field: [entry.get(field) for entry in fields] for field in ("embedding", "scores", "encoder")
            }
        seen = found.setdefault("inputs", {}) if flight.taps else {}
        for name, tapped in Reader.seen(flight).items():
            seen.setdefault(name, tapped)
        return found

    def _answer(self, result: Any, said: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.site.answer
        if answer.extract is not None or answer.output is not None:
            return answer.read(result)
        found = {name: value for name, value in self.task.answer(result, said).items() if value is not None}
        return {**found, **({"scores": answer.read(result)["scores"]} if answer.scores is not None else {})}


class _Lazily(Session):
    """A call that returns an iterator: inputs are noted as the pipeline takes them, answers as the host gets them."""

    def __init__(
        self,
        watching: PipelineWatching,
        data: Any,
        said: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        noted = self._noting(data) if isinstance(data, types.GeneratorType) else _noting_set(data, self.note)
        swapped = [noted if value is data else value for value in args]
        super().__init__(
            tuple(swapped),
            {name: noted if value is data else value for name, value in kwargs.items()},
            None,
            lambda flight, result: {},
        )
        self.faults = watching.site.recorder.faults
        self._watching = watching
        self._said = said
        self._open: deque[tuple[Any, Flight | None, float]] = deque()
        self._inside = 0.0
        self._entered = 0.0

    def _noting(self, source: Iterator[Any]) -> Iterator[Any]:
        for index, item in enumerate(source):
            self.note(index, item)
            yield item

    @sheltered("begin_failed", nothing)
    def note(self, index: Any, item: Any) -> None:
        """The pipeline took an item; one that is looked at twice in a row is one."""
        if self._open and self._open[-1][0] == index:
            return
        flight = begin(self._watching.site, 1, lambda: self._watching.columns([item], self._said))
        self._open.append((index, flight, self._now()))

    @sheltered("step_failed", nothing)
    def _step_in(self) -> None:
        self._entered = perf_counter()

    @sheltered("step_failed", nothing)
    def _step_out(self) -> None:
        self._inside, self._entered = self._now(), 0.0

    def _now(self) -> float:
        """Seconds spent inside the iterator so far."""
        return self._inside + (perf_counter() - self._entered if self._entered else 0.0)

    def leave(self, result: Any, error: BaseException | None) -> Any:
        if error is not None:
            self._end(None, error)
            return result
        if not hasattr(type(result), "__next__"):
            return self._whole(result)
        proxy: Any = None
        methods: dict[str, Callable[..., Any]] = {
            "__iter__": lambda: (iter(result), proxy)[1],
            "__next__": lambda: self._next(result),
        }
        proxy = make_proxy(result, methods, self._watching.site)
        return proxy

    def _whole(self, result: Any) -> Any:
        """A pipeline that took the items one by one and gives one answer (a conversation)."""
        while len(self._open) > 1:
            self._open.popleft()
        self._end(result, None)
        return result

    def _next(self, source: Any) -> Any:
        self._step_in()
        try:
            result = next(source)
        except StopIteration:
            self._step_out()
            raise
        except BaseException as error:
            self._step_out()
            self._end_all(error)
            raise
        self._step_out()
        self._end(result, None)
        return result

    @sheltered("finish_failed", nothing)
    def _end_all(self, error: BaseException) -> None:
        while self._open:
            self._end(None, error)

    @sheltered("finish_failed", lambda self, *args: self._give_up())
    def _end(self, result: Any, error: BaseException | None) -> None:
        """The oldest item got its answer; one whose input was read in another process has none to show."""
        watching = self._watching
        if self._open:
            _, self.flight, since = self._open.popleft()
        else:
            names = watching.site.inputs or watching.task.names
            columns = [Column(name, None, each=False, modality=None, error="unreadable") for name in names]
            self.flight, since = begin(watching.site, 1, lambda: columns), self._inside
        flight = self.flight
        if flight is not None:
            flight.finish(lambda: watching.read(flight, [result], self._said), error, self._now() - since)

    def _give_up(self) -> None:
        if self.flight is not None:
            self.flight.give_up()


def _is_data_set(data: Any) -> bool:
    return any(
        base.__module__ == "torch.utils.data.dataset" and base.__name__ == "Dataset" for base in type(data).__mro__
    )


def _noting_set(data: Any, note: Callable[[Any, Any], None]) -> Any:
    """A stand-in for a data set that notes what is read from it."""

    def item(index: Any) -> Any:
        found = data[index]
        note(index, found)
        return found

    return make_proxy(data, {"__getitem__": item}, None)
