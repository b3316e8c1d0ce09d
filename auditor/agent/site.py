"""One watched thing: how its arguments become inputs, how its answer is read, and the two ends of every call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from time import perf_counter, thread_time, time_ns
from typing import TYPE_CHECKING, Any

from auditor.agent.call import Call, call_context
from auditor.agent.ids import new_id
from auditor.agent.recorder import Recorder
from auditor.agent.shield import shield
from auditor.agent.snapshot import TooLarge, freeze
from auditor.core.errors import ConfigurationError
from auditor.core.record import ModelRef

if TYPE_CHECKING:
    from auditor.agent.stream import Watch

OUTPUTS = ("label", "value", "text")
ANSWER = ("label", "value", "text", "scores", "tokens", "finish", "refused", "inputs")
"""What an `extract` callable may return."""
OFF = object()
"""Sentinel returned by `begin` after `close()` or `unwatch()`."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a deployment says about one input. `rate` is Hz, or the name of the argument that carries it."""

    name: str
    modality: str | None = None
    rate: float | str | None = None
    encoder: str | None = None
    shape: tuple[int, ...] | None = None


@cache
def _modalities() -> tuple[str, ...]:
    from auditor import registry  # reads the metadata of installed distributions: not at import

    return registry.modalities()


def input_specs(declared: Mapping[str, Any] | None) -> dict[str, InputSpec] | None:
    """The `inputs=` option, checked; ConfigurationError when it names what does not exist."""
    if declared is None:
        return None
    specs = {}
    for name, said in declared.items():
        options: dict[str, Any] = {"modality": said} if isinstance(said, str) or said is None else dict(said)
        unknown = set(options) - {"modality", "rate", "encoder", "shape"}
        modality = options.get("modality")
        if unknown or (modality is not None and modality not in _modalities()):
            raise ConfigurationError(
                "bad_input_option",
                f"{sorted(unknown)[0]!r} is not an option" if unknown else f"{options['modality']!r} is not a modality",
                where=f"inputs[{name!r}]",
                fix=f"modality is one of {', '.join(_modalities())}; options are modality, rate, encoder, shape",
            )
        shape = options.pop("shape", None)
        specs[str(name)] = InputSpec(str(name), shape=None if shape is None else tuple(shape), **options)
    return specs


class Binder:
    """Arguments of a call by parameter name, without `inspect` on the hot path."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.positional: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.extra = "arg"
        self.open = True
        try:
            parameters = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):
            return
        self.open = False
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.extra = parameter.name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.open = True
            elif parameter.kind is not parameter.KEYWORD_ONLY:
                self.positional.append(parameter.name)
            if parameter.default is not parameter.empty:
                self.defaults[parameter.name] = parameter.default
            elif parameter.kind is parameter.KEYWORD_ONLY:
                self.defaults.setdefault(parameter.name, None)

    def knows(self, name: str) -> bool:
        return self.open or name in self.positional or name in self.defaults

    def place(self, name: str) -> tuple[str, int, Any]:
        """An argument's name, its place among the positional ones (or beyond any), and its default: for `pick`."""
        if name in self.positional:
            return name, self.positional.index(name), self.defaults.get(name)
        start, _, number = name.rpartition(".")
        surplus = start == self.extra and number.isdecimal() and name not in self.defaults
        return name, len(self.positional) + int(number) if surplus else sys.maxsize, self.defaults.get(name)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Name to value, defaults included; surplus positional arguments are `<name>.0`, `<name>.1`, ..."""
        bound = {**self.defaults, **dict(zip(self.positional, args, strict=False)), **kwargs}
        for index, value in enumerate(args[len(self.positional) :]):
            bound[f"{self.extra}.{index}"] = value
        return bound


def pick(args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str, place: int, default: Any) -> Any:
    """One argument of a call: what `Binder.bind` finds under that name."""
    return args[place] if place < len(args) and name not in kwargs else kwargs.get(name, default)


class Answer:
    """How a result becomes label, value, text, scores and what the model made of each input."""

    def __init__(self, output: str | None, scores: Any, extract: Callable[[Any], Mapping[str, Any]] | None) -> None:
        if output is not None and output not in OUTPUTS:
            raise ConfigurationError(
                "bad_output_option", f"{output!r} is not a kind of output", where="output", fix="label, value or text"
            )
        self.output = output
        self.scores = scores
        self.extract = extract

    def read(self, result: Any) -> dict[str, Any]:
        """Frozen parts of the answer; raises what `extract` or `scores` raise."""
        if type(result) in _PLAIN and self.extract is None and self.scores is None:
            return {self.output or _PLAIN[type(result)]: result}
        if self.extract is not None:
            found = {key: value for key, value in self.extract(result).items() if key in ANSWER}
        elif isinstance(result, Mapping):
            found = {key: result[key] for key in ANSWER[:-1] if key in result}
        elif self.output is not None:
            found = {self.output: result}
        else:
            kind = answer_kind(result)
            found = {} if kind is None else {kind: result}
        if callable(self.scores):
            found["scores"] = self.scores(result)
        elif self.scores is not None:
            found["scores"] = result[self.scores] if isinstance(result, Mapping) else getattr(result, self.scores)
        return {key: freeze(value)[0] for key, value in found.items() if value is not None}

    def read_stream(self, items: list[Any]) -> dict[str, Any]:
        """A stream's answer: its text joined, or its last item; `extract` gets the list of items."""
        if self.extract is not None:
            return self.read(items)
        if items and self.output in (None, "text") and all(isinstance(item, str) for item in items):
            return self.read("".join(items))
        return self.read(items[-1]) if items else {}


_PLAIN = {str: "text", int: "label", bool: "label", float: "value"}
"""Results that nobody can change, and what they are when nobody said so."""


def answer_kind(result: Any) -> str | None:
    """What a result is when nobody said so: str is text (never kept raw), int and bool a label, float a value."""
    kind = type(result)
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, int):
        return "label"
    if issubclass(kind, float):
        return "value"
    if kind.__module__ == "numpy" and hasattr(kind, "item") and getattr(result, "ndim", 1) == 0:
        return answer_kind(result.item())
    return None


class Site:
    """One watched thing of one agent. `begin` and `finish` are the hot path; neither ever raises an Exception.

    Parameters
    ----------
    recorder : Recorder
    inputs : mapping, optional
        Declared inputs by argument name; absent: every argument is one.
    groups : mapping or callable, optional
        Slices of each call; a callable gets the call's own arguments.
    options : mapping, optional
        What only some adapters know; each adapter file names its own in `OPTIONS`.

    Attributes
    ----------
    undo : list of callable
        What `release` takes back from the watched thing: hooks.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        inputs: Mapping[str, Any] | None = None,
        output: str | None = None,
        version: str | None = None,
        encoder: str | None = None,
        scores: Any = None,
        groups: Any = None,
        extract: Callable[[Any], Mapping[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        ref = recorder.ref
        self.recorder = recorder
        self.inputs = input_specs(inputs)
        self.answer = Answer(output, scores, extract)
        self.groups = groups
        self.ref = ModelRef(
            name=ref.name, version=ref.version if version is None else str(version), encoder=encoder or ref.encoder
        )
        self.options = dict(options or {})
        self.undo: list[Callable[[], None]] = []
        self.binder: Binder | None = None
        self._declared: list[tuple[tuple[str, int, Any], InputSpec, Any]] | None = None
        self.live = True

    def release(self) -> None:
        """No longer watched: calls that still come this way are not seen, and hooks are taken back."""
        self.live = False
        while self.undo:
            with shield(self.recorder.faults, "unwatch_failed"):
                self.undo.pop()()

    def bound_to(self, function: Callable[..., Any]) -> Site:
        """The same site, reading this function's arguments; ConfigurationError when a declared input is none of them."""
        self.binder = Binder(function)
        for name in self.inputs or ():
            if not self.binder.knows(name):
                raise ConfigurationError(
                    "unknown_input",
                    f"{getattr(function, '__name__', 'the model')} has no argument {name!r}",
                    where="inputs",
                    fix=f"name one of {', '.join(self.binder.positional) or 'its arguments'}",
                )
        place = self.binder.place
        if self.inputs is not None:
            self._declared = [
                (place(name), spec, place(spec.rate) if isinstance(spec.rate, str) else spec.rate)
                for name, spec in self.inputs.items()
            ]
        return self

    # -- the hot path -------------------------------------------------------------------------------------------------

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Before the call: its id, whether it is described, and frozen inputs if it is.

        Returns
        -------
        tuple, Call, OFF or None
            (time, CPU clock) for a call that is only counted; None when the agent itself failed.
        """
        recorder = self.recorder
        try:
            if not (recorder.live and self.live):
                return OFF
            us = time_ns() // 1000 if recorder.clock is None else recorder.now_us()
            said = call_context.get()
            identifier = new_id(us // 1000) if said is None or said.id is None else str(said.take_id())
            bar = recorder.bar
            if bar is not None and blake2b(identifier.encode(), digest_size=8).digest() >= bar:
                return (us, thread_time() if recorder.metered else 0.0)
            call = self.open(identifier, us)
            self.take_inputs(call, args, kwargs)
            call.cpu = thread_time() if recorder.metered else 0.0
            return call
        except Exception as error:
            recorder.faults.note("begin_failed", error)
            return None

    def begin_as(self, identifier: str) -> Any:
        """`begin` for a call whose id is already known and whose inputs come later."""
        recorder = self.recorder
        if not recorder.live:
            return OFF
        us = recorder.now_us()
        if not recorder.chooses(identifier):
            return (us, thread_time() if recorder.metered else 0.0)
        call = self.open(identifier, us)
        call.cpu = thread_time() if recorder.metered else 0.0
        return call

    def open(self, identifier: str, us: int) -> Call:
        """A chosen call, with what `agent.context` says of it."""
        recorder = self.recorder
        call = Call(identifier, us, self, recorder.rate, recorder.process_token)
        said = call_context.get()
        if said is not None:
            call.subject = said.subject
            call.groups = said.groups
        return call

    def finish(
        self,
        call: Any,
        began: float,
        result: Any = None,
        error: BaseException | None = None,
        watch: Watch | None = None,
    ) -> None:
        """After the call: hand it over.

        Parameters
        ----------
        call : object
            What `begin` returned.
        began : float
            The performance clock at the call's beginning.
        watch : Watch, optional
            Of a call that ran in steps.
        """
        ended = perf_counter()
        recorder = self.recorder
        try:
            if call is OFF or not recorder.live:
                recorder.after_close += self.live and not recorder.live
            elif type(call) is tuple:
                us, cpu = call
                if recorder.metered:
                    cpu = thread_time() - cpu if watch is None else watch.cpu
                recorder.skip(us, cpu, self.ref)
            elif call is None:
                recorder.fail()
            else:
                if recorder.metered:
                    call.cpu = thread_time() - call.cpu if watch is None else watch.cpu
                call.latency_s = ended - began
                self.close(call, result, error, watch)
        except Exception as fault:
            recorder.faults.note("finish_failed", fault)
            recorder.fail()

    def close(self, call: Call, result: Any, error: BaseException | None, watch: Watch | None) -> None:
        """Read the answer of a chosen call and put it in line."""
        recorder = self.recorder
        if call.process_token is not recorder.process_token:
            recorder.notes.append("fork_discarded")  # the parent counts and sends this call
            return
        if error is not None:
            call.error = type(error).__name__
        if watch is not None and watch.items is not None:
            call.first_token_s = watch.first
            call.finish = "abandoned" if watch.left else None
        if error is None and call.found is None:
            with shield(recorder.faults, "answer_unreadable"):
                items = None if watch is None else watch.items
                call.found = self.answer.read(result) if items is None else self.answer.read_stream(items)
        recorder.push(call)

    def take_inputs(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Freeze the arguments that are inputs, and the slices that are said of the call."""
        if self.binder is None:
            return
        if self._declared is None:
            for name, value in self.binder.bind(args, kwargs).items():
                add_input(call, name, value)
        else:
            for place, spec, rate in self._declared:
                hertz = pick(args, kwargs, *rate) if type(rate) is tuple else rate
                add_input(call, place[0], pick(args, kwargs, *place), spec.modality, hertz, None, None, spec.encoder)
        self._take_groups(call, args, kwargs)

    def _take_groups(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """The slices that the deployment says of every call; what the caller said goes before."""
        if self.groups is not None:
            with shield(self.recorder.faults, "groups_unreadable"):
                said = self.groups(*args, **kwargs) if callable(self.groups) else self.groups
                call.groups = {**said, **(call.groups or {})}


def add_input(
    call: Call,
    name: str,
    value: Any,
    modality: str | None = None,
    rate: float | None = None,
    scores: Any = None,
    embedding: Any = None,
    encoder: str | None = None,
) -> None:
    """Freeze one payload into the call; one that is too large, or cannot be copied, leaves its error."""
    error = None
    try:
        value, size = freeze(value)
        call.size += size
        if scores is not None:
            scores = freeze(scores)[0]
        if embedding is not None:
            embedding = freeze(embedding)[0]
    except TooLarge:
        value, scores, embedding, error = None, None, None, "too_large"
    except Exception:
        value, scores, embedding, error = None, None, None, "unreadable"
    call.payloads.append((name, value, modality, rate, scores, embedding, encoder, error))
