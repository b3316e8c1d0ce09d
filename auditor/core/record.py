"""What leaves a model process: records, labels, energy readings and tallies of what was lost.

Standard library only: the agent loads this inside somebody's model server. `core.gate` reads their JSON back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditor.core.window import format_time

MODALITIES = ("text", "image", "audio", "video", "tabular", "series", "point_cloud", "embedding")
ENERGY_METHODS = ("measured", "calibrated", "modelled", "sourced")
Scalar = float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model, which version of it and, when embeddings are its own, which encoder made them."""

    name: str
    version: str = ""
    encoder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a record was born: agent session, fork generation, sequence number; gaps in `seq` are loss."""

    session: str
    fork: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of one call, described; the payload itself stays with the host.

    Attributes
    ----------
    missing : bool
        The model was called without it.
    error : str or None
        Code of the describer's failure (`decode_failed`, `too_large`, ...).
    descriptors : mapping
        Column to number, string or None (None: cannot be computed for this payload).
    embedding : tuple of float or None
        Shape (d,); from the model or the encoder named in `encoder`.
    scores : tuple of float or None
        Shape (classes,): what this input's own head says.
    commitment : str or None
        `sha256:` + salted digest of the payload: equal payloads are seen as equal, none can be read back.
    describer : str or None
        `modality/version` of the descriptor plugin that made `descriptors`.
    """

    name: str
    modality: str
    missing: bool = False
    error: str | None = None
    descriptors: Mapping[str, Scalar] = field(default_factory=dict)
    embedding: tuple[float, ...] | None = None
    encoder: str | None = None
    scores: tuple[float, ...] | None = None
    commitment: str | None = None
    describer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOutput:
    """A generated text, described."""

    descriptors: Mapping[str, Scalar] = field(default_factory=dict)
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the model answered: a label, a value or a described text; or why it did not."""

    label: str | None = None
    value: float | None = None
    text: TextOutput | None = None
    scores: tuple[float, ...] | None = None
    tokens: Mapping[str, int] | None = None
    finish: str | None = None
    refused: bool | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """Energy of one call, joules, with how it was obtained and what share each input had."""

    joules: float
    method: str
    lower: float | None = None
    upper: float | None = None
    by: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One inference: all modalities of one call as one unit."""

    id: str
    time: datetime
    model: ModelRef
    inputs: tuple[Input, ...]
    output: Output | None = None
    source: Source | None = None
    groups: Mapping[str, str | None] = field(default_factory=dict)
    subject: str | None = None
    sampling: float = 1.0
    latency_s: float | None = None
    first_token_s: float | None = None
    energy: EnergyFigure | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON, without absent fields."""
        data: dict[str, Any] = _plain(self)
        data["time"] = format_time(self.time)
        data.setdefault("inputs", [])
        for entry in data["inputs"]:
            if entry.get("missing") is False:
                del entry["missing"]
        if data.get("sampling") == 1.0:
            del data["sampling"]
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Ground truth for one record, whenever it arrives; a later one for the same id is a correction."""

    id: str
    time: datetime
    label: str | None = None
    value: float | None = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"id": self.id, "time": format_time(self.time)}
        data.update({"label": self.label} if self.label is not None else {"value": self.value})
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReading:
    """What a meter saw over one stretch of one process, and the part that the watched calls had in it.

    Attributes
    ----------
    joules : mapping of str to float
        By component (`cpu`, `ram`, `gpu`), for the whole process or machine, as `scope` says.
    active, idle : float
        Joules attributed to the calls, and the rest; together the sum of `joules`.
    requests : int
        Calls in the stretch.
    cpu_s, cpu_total_s : float
        CPU seconds of the calls, and of everything the meter covered.
    kg_co2e : float or None
        Emissions of all of it, with the grid intensity of `country`.
    """

    model: ModelRef
    start: datetime
    end: datetime
    joules: Mapping[str, float]
    active: float
    idle: float
    requests: int
    cpu_s: float
    cpu_total_s: float
    method: str
    meter: str
    scope: str = "process"
    country: str | None = None
    kg_co2e: float | None = None
    session: str | None = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = _plain(self)
        data.update(start=format_time(self.start), end=format_time(self.end))
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTally:
    """What one agent session counted since its last tally: nothing is lost without a reason and a number."""

    model: ModelRef
    session: str
    fork: int
    start: datetime
    end: datetime
    seen: int
    described: int
    delivered: int
    dropped: Mapping[str, int]
    closed: bool = False
    last_seq: int | None = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = _plain(self)
        data.update(start=format_time(self.start), end=format_time(self.end))
        return data


_SCALARS = frozenset({str, float, int, bool, type(None)})


def _plain(value: Any) -> Any:
    """A frozen record as plain JSON types, absent fields left out."""
    if type(value) in _SCALARS:  # most are
        return value
    if hasattr(value, "__dataclass_fields__"):
        found: dict[str, Any] = {}
        for name in value.__dataclass_fields__:
            entry = getattr(value, name)
            if type(entry) in _SCALARS:
                if entry is not None:
                    found[name] = entry
            elif entry != {} and entry != ():
                found[name] = _plain(entry)
        return found
    if isinstance(value, Mapping):
        return {key: entry if type(entry) in _SCALARS else _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [entry if type(entry) in _SCALARS else _plain(entry) for entry in value]
    return value
