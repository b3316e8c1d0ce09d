"""The frame: what is fitted once on a baseline and then frozen, so that rows need to be summarised only once.

A frame says which columns there are, on which grid each numeric column is counted, how vectors are projected, and which
inputs are compared with each other. Its digest names it; states of different frames never merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np

from auditor.core.grid import AnyGrid, Grid, LogGrid
from auditor.core.identity import digest
from auditor.core.projection import Fold, Head, Projection
from auditor.core.rows import Floats
from auditor.core.spread import Spread, SubjectRows

EDITION = 2
"""Raised when frames are fitted otherwise; a baseline with an older frame is fitted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """A column of a frame.

    Attributes
    ----------
    name : str
        Dotted path (`inputs.photo.descriptors.brightness`) or derived (`inputs.photo.confidence`,
        `pairs.photo~clip.concordance`).
    kind : str
        `numeric`, `categorical` or `vector`.
    view : str
        Which of the views of a modality it belongs to: `signal` (descriptors), `output` (a head's scores),
        `embedding`, `uncertainty` (entropy, reconstruction), `pair` (between two inputs) or `service` (latency, tokens).
    """

    name: str
    kind: str
    view: str
    input: str | None = None
    modality: str | None = None
    pair: str | None = None
    unit: str = "1"

    @property
    def detail(self) -> bool:
        """Whether it is one of many parts of a vector (a class, a component)."""
        parts = (".scores.", ".embedding.")
        return self.kind == "numeric" and ".descriptors." not in self.name and any(part in self.name for part in parts)

    @property
    def component(self) -> bool:
        """Whether it is a component of an embedding, or what those leave out: all that is known of what a payload means."""
        return self.detail and ".embedding." in self.name

    @property
    def short(self) -> str:
        """What a reader calls it beside its input or pair: `brightness`, `head.entropy`; without either, the whole path.

        A head's figures say so, because a descriptor may have the same name.
        """
        if self.detail and self.input is not None:
            return self.name.removeprefix(f"inputs.{self.input}.").replace("scores.", "head.scores.", 1)
        if ".descriptors." in self.name:
            return self.name.split(".descriptors.", 1)[1]
        if self.input is None and self.pair is None:
            return self.name
        last = self.name.rsplit(".", 1)[-1]
        return f"head.{last}" if self.input is not None and self.view in ("output", "uncertainty") else last

    def attributes(self) -> dict[str, str]:
        """The measurement attributes of a figure about this column."""
        found = {"column": self.short, "input": self.input, "modality": self.modality, "pair": self.pair}
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class Frame:
    """What a baseline froze; `Frame(model)` alone is the default frame of a model without one.

    Attributes
    ----------
    columns : mapping of str to ColumnSpec
        The baseline's columns; empty in the default frame, where columns are taken as they come.
    grids : mapping of str to Grid
        By numeric column; a column without one is counted on the LogGrid.
    projections : mapping of str to Projection
        By vector column.
    pairs : tuple of (str, str)
        Inputs compared with each other, each pair in the order of the contract's modalities, then by name.
    describers : mapping of str to str
        By input: `describer|encoder` of the baseline's figures.
    folds : mapping of str to (Fold, Fold)
        By embedding: components for rows whose hashed id is even, and odd.
    heads : mapping of (str, str) to (Head, Head)
        By pair of inputs without a shared space: canonical directions for rows whose hashed id is even, and odd.
    slices : mapping of str to tuple of str
        By group feature: the groups whose records have states of their own, the others share one.
    spreads : mapping of str to Spread
        By column: how it varies between windows of length `step`.
    null_spreads : mapping of str to Spread
        By column whose share of missing values varies between windows more than rows explain.
    by_subject : mapping of str to SubjectRows
        By column of records with subjects, where one row of each subject and window is as good as independent.
    untested : mapping of str to str
        Columns that are not compared, and why: `identifier` or `counter`.
    seasonal : bool
        Whether windows are compared with those of the same hour of the week.
    edition : int
        Of the way in which the frame was fitted.
    """

    model: str
    columns: Mapping[str, ColumnSpec] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    projections: Mapping[str, Projection] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    describers: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, tuple[Fold, Fold]] = field(default_factory=dict)
    heads: Mapping[tuple[str, str], tuple[Head, Head]] = field(default_factory=dict)
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    null_spreads: Mapping[str, Spread] = field(default_factory=dict)
    by_subject: Mapping[str, SubjectRows] = field(default_factory=dict)
    untested: Mapping[str, str] = field(default_factory=dict)
    step: timedelta = timedelta(days=1)
    seasonal: bool = False
    edition: int = EDITION

    @property
    def fitted(self) -> bool:
        return bool(self.columns)

    def grid(self, column: str) -> AnyGrid:
        """The column's own grid, or the log grid."""
        return self.grids.get(column, _LOG_GRID)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides how rows are counted."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; floats survive exactly (shortest round-trip form)."""
        return {
            "model": self.model,
            "columns": {
                name: [spec.kind, spec.view, spec.input, spec.modality, spec.pair, spec.unit]
                for name, spec in self.columns.items()
            },
            "grids": {
                name: [grid.edges.tolist(), grid.values.tolist(), *([grid.atoms.tolist()] if len(grid.atoms) else [])]
                for name, grid in self.grids.items()
            },
            "projections": {
                name: [p.center.tolist(), p.matrix.tolist(), p.frequencies.tolist(), p.phases.tolist()]
                for name, p in self.projections.items()
            },
            "pairs": [list(pair) for pair in self.pairs],
            "describers": dict(self.describers),
            # Left out where there are none, so that the digests of older frames stay what they were.
            **({"folds": _folds_json(self.folds)} if self.folds else {}),
            **({"heads": _heads_json(self.heads)} if self.heads else {}),
            **({"slices": {name: list(groups) for name, groups in self.slices.items()}} if self.slices else {}),
            **(
                {"null_spreads": {name: spread.as_json() for name, spread in self.null_spreads.items()}}
                if self.null_spreads
                else {}
            ),
            **({"by_subject": _subjects_json(self.by_subject)} if self.by_subject else {}),
            **(
                {
                    "edition": self.edition,
                    "step_s": self.step.total_seconds(),
                    "spreads": {name: spread.as_json() for name, spread in self.spreads.items()},
                    "untested": dict(self.untested),
                    "seasonal": self.seasonal,
                }
                if self.fitted and self.edition > 1
                else {}
            ),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Frame:
        """The frame that `as_json` wrote."""
        return cls(
            model=data["model"],
            columns={
                name: ColumnSpec(name=name, kind=kind, view=view, input=input_, modality=modality, pair=pair, unit=unit)
                for name, (kind, view, input_, modality, pair, unit) in data["columns"].items()
            },
            grids={
                name: Grid(_array(edges), _array(values), np.array(atoms[0] if atoms else [], np.int64))
                for name, (edges, values, *atoms) in data["grids"].items()
            },
            projections={
                name: Projection(_array(c), _array(m).reshape(len(c), -1), _array(f).reshape(-1, len(p)), _array(p))
                for name, (c, m, f, p) in data["projections"].items()
            },
            pairs=tuple((a, b) for a, b in data["pairs"]),
            describers=data["describers"],
            folds={name: (_fold(*even), _fold(*odd)) for name, (even, odd) in data.get("folds", {}).items()},
            heads={
                (a, b): (Head(_matrix(even[0]), _matrix(even[1])), Head(_matrix(odd[0]), _matrix(odd[1])))
                for a, b, even, odd in data.get("heads", ())
            },
            slices={name: tuple(groups) for name, groups in data.get("slices", {}).items()},
            spreads={name: Spread.from_json(spread) for name, spread in data.get("spreads", {}).items()},
            null_spreads={name: Spread.from_json(spread) for name, spread in data.get("null_spreads", {}).items()},
            by_subject={
                name: SubjectRows(values=values, counts=np.array(counts, np.int64), mean=mean, variance=variance)
                for name, (values, counts, mean, variance) in data.get("by_subject", {}).items()
            },
            untested=data.get("untested", {}),
            seasonal=data.get("seasonal", False),
            step=timedelta(seconds=data.get("step_s", 86400.0)),
            edition=data.get("edition", 1 if data["columns"] else EDITION),
        )


def _folds_json(folds: Mapping[str, tuple[Fold, Fold]]) -> dict[str, Any]:
    return {
        name: [[fold.center.tolist(), fold.matrix.tolist(), fold.residual] for fold in both]
        for name, both in folds.items()
    }


def _subjects_json(known: Mapping[str, SubjectRows]) -> dict[str, Any]:
    return {name: [rows.values, rows.counts.tolist(), rows.mean, rows.variance] for name, rows in known.items()}


def _fold(center: Any, matrix: Any, residual: bool) -> Fold:
    return Fold(_array(center), _array(matrix).reshape(len(center), -1), residual)


def _heads_json(heads: Mapping[tuple[str, str], tuple[Head, Head]]) -> list[Any]:
    return [[*pair, *([head.left.tolist(), head.right.tolist()] for head in both)] for pair, both in heads.items()]


def _matrix(values: Any) -> Floats:
    return _array(values).reshape(len(values), -1)


def _array(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


_LOG_GRID = LogGrid()
