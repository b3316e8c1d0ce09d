"""The one schema of what leaves a model process: records, labels, energy readings and capture tallies, with their limits.

Standard library only: the agent loads this inside a model server. `core.gate` reads these types from plain JSON
and checks their limits; the intake derives its decoders from them. A field, its type and its limit stand here and nowhere
else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from auditor.core.window import format_time


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of a value, inclusive.

    Attributes
    ----------
    shortest, longest : int or None
        Characters of a text; entries of a list or mapping.
    least, most : float or None
        Of a number.
    above : float or None
        A number is larger than this.
    one_of : tuple of str or None
        The texts that are allowed.
    class_name : bool
        A number or truth value is accepted and becomes text: 7, 7.0 and "7" are one class.
    code : str
        Error code of a value beyond the bounds.
    """

    shortest: int | None = None
    longest: int | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None
    one_of: tuple[str, ...] | None = None
    class_name: bool = False
    code: str = "over_limit"


ENERGY_METHODS = ("measured", "calibrated", "modelled", "sourced")
LARGEST = 1.7976931348623157e308
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Times of records and labels lie in [EARLIEST, LATEST); a deployment's settings narrow this."""
DEPTH = 16
"""Levels of nesting of any document that carries these types."""

Id = Annotated[str, Limit(shortest=1, longest=64, code="bad_id")]
Name = Annotated[str, Limit(shortest=1, longest=200)]
Text = Annotated[str, Limit(longest=2000)]
Short = Annotated[str, Limit(longest=200)]
ClassName = Annotated[str, Limit(longest=2000, class_name=True)]
ModelName = Annotated[str, Limit(shortest=1, longest=200, code="bad_model_name")]
Modality = Annotated[str, Limit(shortest=1, longest=64, code="unknown_modality")]
"""Any registered modality; the intake compares it with the registry."""
Method = Annotated[str, Limit(one_of=ENERGY_METHODS, code="bad_energy")]
Finite = Annotated[float, Limit(least=-LARGEST, most=LARGEST, code="not_finite")]
Positive = Annotated[float, Limit(least=0.0, most=LARGEST, code="out_of_range")]
Sampling = Annotated[float, Limit(above=0.0, most=1.0, code="bad_sampling")]
Whole = Annotated[int, Limit(least=-(2**63), most=2**63 - 1)]
Count = Annotated[int, Limit(least=0, most=2**63 - 1, code="out_of_range")]
Scalar = Finite | Text | None
Descriptors = Annotated[Mapping[Name, Scalar], Limit(longest=1000)]
Vector = Annotated[
    tuple[Annotated[float, Limit(least=-3.4e38, most=3.4e38)], ...],
    Limit(shortest=1, longest=65_536, code="bad_vector"),
]
Groups = Annotated[Mapping[Name, Text | None], Limit(longest=64)]
Shares = Annotated[Mapping[Name, Finite], Limit(longest=64)]
Counts = Annotated[Mapping[Name, Count], Limit(longest=64)]
Tokens = Mapping[Annotated[str, Limit(one_of=("input", "output"), code="unknown_key")], Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model, which version of it and, when embeddings are its own, which encoder made them."""

    name: ModelName
    version: Short = ""
    encoder: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a record was born: agent session, fork generation, sequence number; gaps in `seq` are loss."""

    session: Name
    fork: Whole
    seq: Whole


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

    name: Name
    modality: Modality
    missing: bool = False
    error: Text | None = None
    descriptors: Descriptors = field(default_factory=dict)
    embedding: Vector | None = None
    encoder: Text | None = None
    scores: Vector | None = None
    commitment: Text | None = None
    describer: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOutput:
    """A generated text, described."""

    descriptors: Descriptors = field(default_factory=dict)
    embedding: Vector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the model answered: a label, a value or a described text; or why it did not."""

    label: ClassName | None = None
    value: Finite | None = None
    text: TextOutput | None = None
    scores: Vector | None = None
    tokens: Tokens | None = None
    finish: Text | None = None
    refused: bool | None = None
    error: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """Energy of one call, joules, with how it was obtained and what share each input had."""

    joules: Positive
    method: Method
    lower: Finite | None = None
    upper: Finite | None = None
    by: Shares | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One inference: all modalities of one call as one unit."""

    id: Id
    time: datetime
    model: ModelRef
    inputs: Annotated[tuple[Input, ...], Limit(longest=64)]
    output: Output | None = None
    source: Source | None = None
    groups: Groups = field(default_factory=dict)
    subject: Text | None = None
    sampling: Sampling = 1.0
    latency_s: Positive | None = None
    first_token_s: Positive | None = None
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
    """Ground truth for one record, whenever it arrives; a later one for the same record is a correction.

    Without `model` it is for the one model that has a record of that id.
    """

    id: Id
    time: datetime
    label: ClassName | None = None
    value: Finite | None = None
    model: ModelName | None = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"id": self.id, "time": format_time(self.time)}
        data.update({"label": self.label} if self.label is not None else {"value": self.value})
        return data if self.model is None else {**data, "model": self.model}


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
    joules: Shares
    active: Finite
    idle: Finite
    requests: Count
    cpu_s: Finite
    cpu_total_s: Finite
    method: Method
    meter: Name
    scope: Short = "process"
    country: Short | None = None
    kg_co2e: Finite | None = None
    session: Short | None = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = _plain(self)
        data.update(start=format_time(self.start), end=format_time(self.end))
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTally:
    """What one agent session counted since its last tally: nothing is lost without a reason and a number."""

    model: ModelRef
    session: Name
    fork: Whole
    start: datetime
    end: datetime
    seen: Count
    described: Count
    delivered: Count
    dropped: Counts
    closed: bool = False
    last_seq: Whole | None = None

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
