"""The arguments of a network's call as inputs: which are there, which have rows, and what a row of them shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from auditor.adapters.rows import Column
from auditor.adapters.tensors import is_array, length
from auditor.agent.site import InputSpec, Site
from auditor.core.errors import ConfigurationError

_WIDEST_FORM = 256
"""Longest vector that is described as tabular; a longer one is an embedding."""
_SCALARS = (bool, int, float, complex)
Pixels = Mapping[str, tuple[Any, Any]]


class Columns:
    """Makes the inputs of a call.

    Parameters
    ----------
    each : bool
        Whether arguments have rows.
    encoders : mapping of str to str
        What makes the embedding of an input.
    embedded : collection of str
        Inputs that hooks give an embedding of: with no modality said, that is all there is to tell of them.
    """

    def __init__(
        self,
        site: Site,
        *,
        each: bool = True,
        encoders: Mapping[str, str | None] | None = None,
        pixels: Pixels | None = None,
        embedded: Collection[str] = (),
    ) -> None:
        self.specs = site.inputs
        self.each = each
        self.encoders = encoders or {}
        self.pixels = pixels or {}
        self.embedded = embedded

    def named(self, bound: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs among the arguments; the entries of an argument that is a mapping are inputs of their own."""
        found: dict[str, Any] = {}
        for name, value in bound.items():
            spread = not is_array(value) and isinstance(value, Mapping) and name not in (self.specs or ())
            if spread and any(is_array(entry) or length(entry) for entry in value.values()):
                found.update({str(key): entry for key, entry in value.items()})
            else:
                found[name] = value
        if self.specs is None:
            return {name: value for name, value in found.items() if not isinstance(value, _SCALARS)}
        return found

    def count(self, inputs: Mapping[str, Any]) -> int:
        """Rows of a call: those of its first tensor, else of its first list; one where neither is."""
        if not self.each:
            return 1
        specs = self.specs
        for name, value in inputs.items():
            if is_array(value) and (specs is None or name in specs) and len(value.shape):
                return int(value.shape[0])
        wanted = [value for name, value in inputs.items() if specs is None or name in specs]
        for values in (wanted, inputs.values()):
            for value in values:
                found = length(value)
                if found is not None:
                    return found
        return 1

    def of(self, inputs: Mapping[str, Any], count: int) -> list[Column]:
        """One column for each input, declared ones that are absent included."""
        specs = self.specs if self.specs is not None else {name: InputSpec(name) for name in inputs}
        return [self._column(spec, inputs, count) for spec in specs.values()]

    def unread(self, names: Iterable[str]) -> list[Column]:
        """Inputs that the model got and nobody else could see."""
        specs = self.specs if self.specs is not None else {name: InputSpec(name) for name in names}
        return [
            Column(spec.name, None, each=False, modality=spec.modality, error="unreadable") for spec in specs.values()
        ]

    def _column(self, spec: InputSpec, inputs: Mapping[str, Any], count: int) -> Column:
        value = inputs.get(spec.name)
        rate: Any = inputs.get(spec.rate) if isinstance(spec.rate, str) else spec.rate
        modality = spec.modality or modality_of(value, self.each)
        embedded = spec.name in self.embedded and modality is None
        if hasattr(rate, "item"):
            rate = rate.item() if getattr(rate, "ndim", 0) == 0 else None
        return Column(
            spec.name,
            value,
            each=self.each and length(value) == count,
            modality="embedding" if embedded else modality,
            embedded=embedded,
            rate=rate,
            encoder=spec.encoder or self.encoders.get(spec.name),
            convert=converter(spec, spec.modality, self.pixels.get(spec.name)),
        )


def modality_of(value: Any, each: bool) -> str | None:
    """What a tensor shows when nobody said so: bytes with channels are pixels, short vectors a form, longer ones an
    embedding; None for anything else, token ids among them.
    """
    if not is_array(value):
        return None
    shape = tuple(value.shape)[1:] if each else tuple(value.shape)
    kind = str(value.dtype).rpartition(".")[2]
    if kind == "uint8":
        pixels = len(shape) == 2 or (len(shape) == 3 and {shape[0], shape[-1]} & {1, 3, 4})
        return "image" if pixels else None
    if kind.startswith(("float", "bfloat")) and len(shape) <= 1:
        return "tabular" if sum(shape) <= _WIDEST_FORM else "embedding"
    return None


def converter(spec: InputSpec, modality: str | None, scale: tuple[Any, Any] | None) -> Callable[[Any], Any] | None:
    """Makes the payload of a row from the row; runs in the worker."""

    def convert(row: Any) -> Any:
        if not is_array(row):
            return row
        if spec.shape is not None:
            row = row.reshape(spec.shape)
        if scale is not None:
            row = unscaled(row, *scale)
        if row.ndim <= 1 and (modality or modality_of(row, False)) == "tabular":
            return {f"x{index}": float(entry) for index, entry in enumerate(row.reshape(-1))}
        return row

    return convert


def unscaled(row: Any, mean: Any, std: Any) -> Any:
    """Pixels from 0 to 1, from normalised ones: `row * std + mean`, channel by channel, clipped.

    >>> import numpy
    >>> unscaled(numpy.full((3, 1, 1), 2.0), 0.5, 0.25).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    import numpy

    mean, std = numpy.asarray(mean, numpy.float32), numpy.asarray(std, numpy.float32)
    if mean.ndim and row.ndim >= 3 and row.shape[-1] != len(mean):  # channels first
        mean, std = mean[:, None, None], std.reshape(-1, 1, 1)
    return numpy.clip(row.astype(numpy.float32) * std + mean, 0.0, 1.0)


def pixel_scales(said: Any) -> Pixels:
    """The `pixels=` option, checked."""
    found = {}
    for name, scale in dict(said or {}).items():
        if not isinstance(scale, (list, tuple)) or len(scale) != 2:
            raise ConfigurationError(
                "bad_pixels",
                f"{scale!r} is not a mean and a deviation",
                where=f"pixels[{name!r}]",
                fix="give (mean, std)",
            )
        found[str(name)] = (scale[0], scale[1])
    return found
