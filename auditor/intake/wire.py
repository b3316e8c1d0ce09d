"""The record as msgspec decodes it: the contract's shape and its limits, checked in one pass of compiled code.

Whatever this accepts, `core.gate.parse_record` accepts too; what it refuses is parsed again there, which is slower,
more lenient in spelling (a label 7 is the label "7") and says precisely what is wrong. The garbage collector need not
track them (`gc=False`): frozen values of decoded JSON hold no cycle.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2000)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
LARGEST = 1.7976931348623157e308
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""MessagePack and mappings can carry what JSON cannot: neither a NaN nor an infinity is within bounds."""
Positive = Annotated[float, Meta(ge=0.0, le=LARGEST)]
WHOLE = 1.0
"""The share of calls described where nothing is said; only this very object is left out when a record is written."""
Scalar = Finite | Text | None
Descriptors = Annotated[dict[str, Scalar], Meta(max_length=1000)]
"""Names of descriptors are held to `Name` by the gate (`records`): once a name, not once a record."""
Vector = Annotated[list[Annotated[float, Meta(ge=-3.4e38, le=3.4e38)]], Meta(min_length=1, max_length=65_536)]
Modality = Literal["text", "image", "audio", "video", "tabular", "series", "point_cloud", "embedding"]


class Model(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.ModelRef`."""

    name: Name
    version: Annotated[str, Meta(max_length=200)] = ""
    encoder: Text | None = None


class Source(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.Source`."""

    session: Name
    fork: Whole
    seq: Whole


class Input(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.Input`."""

    name: Name
    modality: Modality
    missing: bool = False
    error: Text | None = None
    descriptors: Descriptors = {}
    embedding: Vector | None = None
    encoder: Text | None = None
    scores: Vector | None = None
    commitment: Text | None = None
    describer: Text | None = None


class TextOutput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.TextOutput`."""

    descriptors: Descriptors = {}
    embedding: Vector | None = None


class Tokens(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Tokens read and written."""

    input: Whole | None = None
    output: Whole | None = None


class Output(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.Output`."""

    label: Text | None = None
    value: Finite | None = None
    text: TextOutput | None = None
    scores: Vector | None = None
    tokens: Tokens | None = None
    finish: Text | None = None
    refused: bool | None = None
    error: Text | None = None


class Energy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.EnergyFigure`."""

    joules: Positive
    method: Literal["measured", "calibrated", "modelled", "sourced"]
    lower: Finite | None = None
    upper: Finite | None = None
    by: Annotated[dict[Name, Finite], Meta(max_length=64)] | None = None


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`core.record.Record`; times are in UTC."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    time: Annotated[datetime, Meta(tz=True)]
    model: Model
    inputs: Annotated[list[Input], Meta(max_length=64)]
    output: Output | None = None
    source: Source | None = None
    groups: Annotated[dict[Name, Text | None], Meta(max_length=64)] = {}
    subject: Text | None = None
    sampling: Annotated[float, Meta(gt=0.0, le=1.0)] = WHOLE
    latency_s: Positive | None = None
    first_token_s: Positive | None = None
    energy: Energy | None = None
