"""Keras 3 models: `__call__`, `predict` and `predict_on_batch`, one record for each row.

Inputs go by the names in the model's input structure, never by position: Keras orders the entries of a dictionary by
name. The caller's model is not changed, but for hooks on the layers that `branches` names, which `agent.unwatch` takes
back. Those see what layers give where the backend is torch; on TensorFlow and JAX, whose functions are traced once and
run elsewhere, the branches of the described rows run a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from auditor.adapters.neural.answers import Reader
from auditor.adapters.neural.columns import Columns, pixel_scales
from auditor.adapters.neural.hooks import branch_layers, encoder_of, tap_modules
from auditor.adapters.rows import Answers, Flight, begin
from auditor.adapters.tensors import is_array, length, pooled, take
from auditor.adapters.watching import OF_MODULES, Session, Watching
from auditor.agent.site import Binder, Site
from auditor.core.errors import ConfigurationError

OPTIONS = frozenset({"branches", "classes", "pixels"})
METHODS = ("__call__", "predict", "predict_on_batch")
_SYMBOLIC = frozenset({"KerasTensor", "SymbolicTensor", "Tracer"})


def watch(model: Any, site: Site) -> Any:
    """A stand-in for the model, which passes for it.

    Options
    -------
    branches : mapping of str to str or mapping
        Input to the name of the layer whose output is its embedding, or to names of the layers of its `embedding` and
        its `scores`. Names that are no inputs (`fusion`) become inputs of modality `embedding`.
    classes : sequence of str
        Names of the classes, by index.
    pixels : mapping of str to (mean, std)
        How an image input was normalised: undone before it is described.
    """
    return KerasWatching(model, site).proxy


class KerasWatching(Watching):
    """One watched model."""

    def __init__(self, model: Any, site: Site) -> None:
        self.names = input_names(model)
        super().__init__(model, site, self.names)
        self.binder = Binder(model.call)
        layers = {
            (name, field): _layer(model, path) for name, field, path in branch_layers(site.options.get("branches"))
        }
        encoder = encoder_of(site, model, _weights(model)) if layers else None
        encoders = {name: encoder for name, field in layers if field == "embedding"}
        self.columns = Columns(
            site, encoders=encoders, pixels=pixel_scales(site.options.get("pixels")), embedded=encoders
        )
        self.reader = Reader(site.answer, classes=site.options.get("classes"))
        self.probe: Any = None
        if layers:
            self._see(layers)
        self.stand_in({name: self._enter(name) for name in METHODS}, set(OF_MODULES) - {"compile"})

    def _see(self, layers: Mapping[tuple[str, str], Any]) -> None:
        import keras

        last = keras.config.image_data_format() == "channels_last"
        if hooks_reach(self.model):
            tap_modules(self.site, self.open, layers, channels_last=last)
        else:
            self.probe = Probe(self.model, layers, last)

    def _enter(self, method: str) -> Any:
        def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session | None:
            if any(map(_symbolic, (*args, *kwargs.values()))):  # a model is being built, or traced
                return None
            inputs = self._inputs(method, args, kwargs)
            if inputs is None:
                return _Unread(self, args, kwargs)
            count = self.columns.count(inputs)
            return self.session(
                args,
                kwargs,
                count,
                lambda: self.columns.of(inputs, count),
                lambda flight, result: self.read(flight, result, inputs),
            )

        return enter

    def _inputs(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Inputs by name; None for a data set, which is read by the model alone."""
        if method == "__call__":
            bound = self.binder.bind(args, kwargs)
            bound = {name: value for name, value in bound.items() if name not in ("training", "mask")}
            first = next(iter(bound), None)
        else:
            first, bound = "x", {"x": args[0] if args else kwargs.get("x")}
        data = bound.get(first) if first is not None else None
        if len(bound) > 1 and method == "__call__" and not self.names:
            return self.columns.named(bound)
        if isinstance(data, Mapping):
            return {str(name): value for name, value in data.items()}
        if isinstance(data, (list, tuple)) and data and all(map(is_array, data)):
            names = self.names if len(self.names) == len(data) else [f"input-{index}" for index in range(len(data))]
            return dict(zip(names, data, strict=True))
        if is_array(data) or isinstance(data, (list, tuple)):
            return {(self.names or [first or "inputs"])[0]: data}
        return None

    def read(self, flight: Flight, result: Any, inputs: Mapping[str, Any]) -> Answers:
        """The answers, with what the probe says of the inputs."""
        found = self.reader.read(flight, result)
        if self.probe is not None and inputs:
            seen = found.setdefault("inputs", {})
            for (name, field), taken in self.probe.run(inputs, flight).items():
                seen.setdefault(name, {})[field] = taken
        return found


class _Unread(Session):
    """A call whose inputs cannot be seen: its rows are known when it returns, and are recorded as not read."""

    def __init__(self, watching: KerasWatching, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(args, kwargs, None, watching.reader.read)
        self._watching = watching
        self._began = perf_counter()

    def leave(self, result: Any, error: BaseException | None) -> Any:
        watching = self._watching
        value = next(iter(result.values()), None) if isinstance(result, Mapping) else result
        count = length(value[0] if isinstance(value, (list, tuple)) and value else value) or 1
        columns = watching.columns.unread(watching.names)
        self.flight = begin(watching.site, count, lambda: columns, self.args, self.kwargs)
        if self.flight is not None:
            self.flight.backdate(self._began)
        return super().leave(result, error)


class Probe:
    """The branches as a model of their own, for backends whose layers cannot be listened to."""

    def __init__(self, model: Any, layers: Mapping[tuple[str, str], Any], channels_last: bool) -> None:
        import keras

        self._keys = {f"{name}:{field}": (name, field) for name, field in layers}
        outputs = {f"{name}:{field}": layer.output for (name, field), layer in layers.items()}
        self._model = keras.Model(model.inputs, outputs)
        self._names = input_names(model)
        self._last = channels_last

    def run(self, inputs: Mapping[str, Any], flight: Flight) -> dict[tuple[str, str], Any]:
        """What the branches give for the described rows."""
        import numpy

        rows = list(flight.rows)
        given = [numpy.asarray(inputs[name])[rows] for name in self._names]
        found = self._model(given, training=False)
        everything = range(len(rows))
        return {
            key: take(pooled(found[output], channels_last=self._last), everything) for output, key in self._keys.items()
        }


def _weights(model: Any) -> list[tuple[str, Any]]:
    """The variables, by names that do not count the layers made before."""
    return [(f"{index}", variable.value) for index, variable in enumerate(model.variables)]


def input_names(model: Any) -> list[str]:
    """Names of a functional model's inputs in the order of `model.inputs`; empty for one that was not built from inputs."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, Mapping):
        return sorted(str(name) for name in structure)
    try:
        return [str(tensor.name) for tensor in model.inputs or ()]
    except (AttributeError, ValueError):
        return []


def hooks_reach(model: Any) -> bool:
    """Whether layers are torch modules that run as Python at each call."""
    return hasattr(type(model), "register_forward_hook") and not getattr(model, "jit_compile", False)


def _layer(model: Any, name: str) -> Any:
    """The layer of that name; ConfigurationError when there is none."""
    try:
        return model.get_layer(name)
    except ValueError:
        names: Sequence[str] = [layer.name for layer in model.layers]
        raise ConfigurationError(
            "unknown_branch",
            f"the model has no layer {name!r}",
            where="branches",
            fix=f"name one of {', '.join(names)}",
        ) from None


def _symbolic(value: Any, depth: int = 0) -> bool:
    """Whether a value, or one in it, stands for tensors that do not exist yet."""
    if isinstance(value, Mapping):
        return depth < 3 and any(_symbolic(entry, depth + 1) for entry in value.values())
    if isinstance(value, (list, tuple)):
        return depth < 3 and any(_symbolic(entry, depth + 1) for entry in value[:64])
    return not _SYMBOLIC.isdisjoint(base.__name__ for base in type(value).__mro__)
