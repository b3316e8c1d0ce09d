"""A window's state as bytes: a JSON header, then raw little-endian arrays, compressed together.

The same state gives the same bytes, and reading them back gives the same state to the last bit. Integers are written in the
narrowest type that holds them; everything that JSON would round or bloat (floats of columns, bins, codes) is an array.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import CodedColumns, MatrixColumns, NumericBlock
from auditor.core.errors import StoreError
from auditor.core.identity import digest
from auditor.core.payloads import Payloads
from auditor.core.presence import Presence
from auditor.core.reliability import Reliability
from auditor.core.sample import Sample
from auditor.core.state import CategoricalState, Cells, Energy, Tally, VectorState, WindowState
from auditor.core.window import from_us, to_us

_MAGIC = b"AST3"
_READABLE = (b"AST2", _MAGIC)
"""Version 2 has neither reliability nor slices."""
_HEAD = struct.Struct("<II")
_INTEGERS = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<i8")
_LEVEL = 1


def encode_state(state: WindowState) -> bytes:
    """The state as bytes; deterministic for a given zlib."""
    return _MAGIC + zlib.compress(_plain(state), _LEVEL)


def state_digest(state: WindowState) -> str:
    """SHA-256 of the state before compression: the same figures give the same digest on any machine."""
    return digest(_plain(state))


def decode_state(data: bytes) -> WindowState:
    """The state that `encode_state` wrote, or StoreError `bad_state`."""
    if data[:4] not in _READABLE:
        raise _bad("it does not begin like a state")
    try:
        plain = zlib.decompress(data[4:])
        header_size, arrays_size = _HEAD.unpack_from(plain)
        header = json.loads(plain[_HEAD.size : _HEAD.size + header_size])
        if len(plain) != _HEAD.size + header_size + arrays_size:
            raise _bad("its length is wrong")
        return _state(header, _Reader(plain, _HEAD.size + header_size, header["arrays"]))
    except (zlib.error, struct.error, ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise _bad(f"{type(error).__name__}: {error}") from error


def _bad(why: str) -> StoreError:
    return StoreError("bad_state", f"a stored state cannot be read: {why}", fix="summarise its hour again")


# -- writing ------------------------------------------------------------------------------------------------------------


class _Writer:
    """Collects arrays: their bytes, and for each its type and length."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.kinds: list[tuple[str, int]] = []

    def _add(self, array: NDArray, kind: str) -> None:
        self.parts.append(array.astype(kind, copy=False).tobytes())
        self.kinds.append((kind, array.size))

    def integers(self, array: NDArray) -> None:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        for kind in _INTEGERS:
            limits = np.iinfo(kind)
            if limits.min <= low and high <= limits.max:
                break
        self._add(array, kind)

    def rising(self, array: NDArray) -> None:
        """Integers that mostly rise: their differences are narrow, or at least compress."""
        self.integers(np.diff(array, prepend=np.int64(0)))

    def floats(self, array: NDArray) -> None:
        self._add(np.asarray(array, np.float64), "<f8")

    def singles(self, array: NDArray) -> None:
        """Floats that are float32 already."""
        self._add(array, "<f4")

    def hashes(self, array: NDArray) -> None:
        self._add(array, "<u8")


def _plain(state: WindowState) -> bytes:
    out = _Writer()
    header = {**_header(out, state), "arrays": out.kinds}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    arrays = b"".join(out.parts)
    return _HEAD.pack(len(text), len(arrays)) + text + arrays


def _header(out: _Writer, state: WindowState) -> dict[str, Any]:
    """The header's content; the arrays are written in the order in which `_state` reads them."""
    return {
        "model": state.model,
        "version": state.version,
        "span": [to_us(state.start), to_us(state.end)],
        "frame": state.frame,
        "counts": [state.n, state.described, state.labelled],
        "numeric": _write_numeric(out, NumericBlock.of(state.numeric)),
        "categorical": {name: dict(column.counts) for name, column in state.categorical.items()},
        "vectors": _write_vectors(out, state.vectors),
        "presence": {name: _write_presence(presence) for name, presence in state.presence.items()},
        "modality": dict(state.modality),
        "describers": {name: dict(counts) for name, counts in state.describers.items()},
        "cells": _write_cells(state.cells),
        "sample": _write_sample(out, state.sample),
        "energy": {method: _write_energy(energy) for method, energy in state.energy.items()},
        "tally": _write_tally(state.tally),
        "errors": dict(state.errors),
        "payloads": _write_payloads(out, state.payloads),
        "reliability": _write_reliability(out, state.reliability),
        "slices": {name: _header(out, state.slices[name]) for name in sorted(state.slices)},
    }


def _write_numeric(out: _Writer, block: NumericBlock) -> list[str]:
    columns = block.places >> 32
    out.integers(np.bincount(columns, minlength=len(block.names)))
    out.rising((block.places & 0xFFFF_FFFF) - (1 << 31))
    out.integers(block.counts)
    out.integers(block.n)
    out.floats(block.moments)
    return list(block.names)


def _write_vectors(out: _Writer, vectors: Mapping[str, VectorState]) -> dict[str, list[Any]]:
    header = {}
    for name in sorted(vectors):
        vector = vectors[name]
        size = len(vector.mean)
        # The scatter is symmetric: one triangle says it all.
        upper = vector.scatter[np.triu_indices(size)]
        symmetric = bool((vector.scatter == vector.scatter.T).all())
        out.floats(vector.mean)
        out.floats(upper if symmetric else vector.scatter)
        out.floats(vector.features)
        header[name] = [vector.n, vector.square, symmetric]
    return header


def _write_cells(cells: Cells) -> dict[str, Any]:
    book = sorted({word for key in cells.counts for word in (*key[0], *key[1:]) if word is not None})
    place: dict[str | None, int] = {word: index for index, word in enumerate(book)}
    place[None] = -1
    coded = [
        [*(place[value] for value in groups), place[truth], place[prediction], count]
        for (groups, truth, prediction), count in cells.counts.items()
    ]
    return {"features": list(cells.features), "book": book, "cells": sorted(coded)}


def _write_presence(presence: Presence) -> list[Any]:
    counts = [presence.present, presence.missing, presence.failed, presence.absent]
    return [*counts, dict(presence.reasons)] if presence.reasons else counts


def _write_sample(out: _Writer, sample: Sample) -> dict[str, Any]:
    numeric = MatrixColumns.of(sample.numeric, sample.n)
    coded = CodedColumns.of(sample.categorical, sample.n)
    single = _is_single(numeric.matrix)
    out.hashes(sample.hashes)
    out.floats(numeric.matrix[~single])
    out.singles(numeric.matrix[single])
    out.integers(coded.codes)
    return {
        "single": np.flatnonzero(single).tolist(),
        "ids": sample.ids.tolist(),
        "numeric": list(numeric.names),
        "categorical": list(coded.names),
        "book": list(coded.book),
    }


def _is_single(matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows all of whose values float32 holds exactly."""
    with np.errstate(over="ignore"):
        narrow = matrix.astype(np.float32)
    found: NDArray[np.bool_] = ((narrow == matrix) | np.isnan(matrix)).all(axis=1)
    return found


def _write_payloads(out: _Writer, payloads: Mapping[str, Payloads]) -> dict[str, int]:
    for name in sorted(payloads):
        out.hashes(payloads[name].hashes)
        out.integers(payloads[name].counts)
    return {name: payloads[name].n for name in sorted(payloads)}


def _write_reliability(out: _Writer, reliability: Reliability) -> int:
    out.rising(reliability.bins)
    out.integers(reliability.right)
    out.integers(reliability.wrong)
    return reliability.n


def _write_energy(energy: Energy) -> dict[str, Any]:
    return {
        "requests": energy.requests,
        "joules": [energy.active, energy.idle],
        "by_component": dict(energy.by_component),
        "by_input": dict(energy.by_input),
        "kg_co2e": energy.kg_co2e,
        "cpu_s": energy.cpu_s,
        "meter": energy.meter,
        "country": energy.country,
    }


def _write_tally(tally: Tally) -> list[Any]:
    return [tally.seen, tally.described, tally.delivered, dict(tally.dropped), tally.undeclared, tally.at_rest]


# -- reading ------------------------------------------------------------------------------------------------------------


class _Reader:
    """Hands the arrays back in the order they were written."""

    def __init__(self, data: bytes, offset: int, kinds: list[list[Any]]) -> None:
        self._data, self._offset, self._kinds = data, offset, iter(kinds)

    def _next(self) -> NDArray:
        kind, size = next(self._kinds)
        array: NDArray = np.frombuffer(self._data, kind, size, self._offset)
        self._offset += array.nbytes
        return array

    def integers(self) -> NDArray[np.int64]:
        return self._next().astype(np.int64)

    def rising(self) -> NDArray[np.int64]:
        return np.cumsum(self._next(), dtype=np.int64)

    def floats(self, *shape: int) -> NDArray[np.float64]:
        return self._next().astype(np.float64, copy=False).reshape(shape)

    def hashes(self) -> NDArray[np.uint64]:
        return self._next().astype(np.uint64, copy=False)


def _state(header: dict[str, Any], arrays: _Reader) -> WindowState:
    numeric = _read_numeric(header["numeric"], arrays)
    vectors = {name: _read_vector(entry, arrays) for name, entry in sorted(header["vectors"].items())}
    sample = _read_sample(header["sample"], arrays)
    start, end = header["span"]
    n, described, labelled = header["counts"]
    return WindowState(
        model=header["model"],
        version=header["version"],
        start=from_us(start),
        end=from_us(end),
        frame=header["frame"],
        n=n,
        described=described,
        labelled=labelled,
        numeric=numeric,
        categorical={name: CategoricalState(counts) for name, counts in header["categorical"].items()},
        vectors=vectors,
        presence={name: Presence(*counts) for name, counts in header["presence"].items()},
        modality=header["modality"],
        describers=header["describers"],
        cells=_read_cells(header["cells"]),
        sample=sample,
        energy={method: _read_energy(entry) for method, entry in header["energy"].items()},
        tally=_read_tally(*header["tally"]),
        errors=header["errors"],
        payloads={
            name: Payloads(size, arrays.hashes(), arrays.integers()) for name, size in header["payloads"].items()
        },
        reliability=Reliability(arrays.rising(), arrays.integers(), arrays.integers())
        if "reliability" in header
        else Reliability(),
        slices={name: _state(entry, arrays) for name, entry in header.get("slices", {}).items()},
    )


def _read_tally(
    seen: int, described: int, delivered: int, dropped: dict[str, int], undeclared: int, at_rest: int | None = None
) -> Tally:
    """States from before `at_rest` was kept counted among the undeclared what was delivered and is not at rest."""
    if at_rest is None:
        at_rest, undeclared = max(delivered - undeclared, 0), 0
    return Tally(seen, described, delivered, dropped, undeclared, at_rest)


def _read_numeric(names: list[str], arrays: _Reader) -> NumericBlock:
    by_column = arrays.integers()
    bins = arrays.rising()
    columns = np.repeat(np.arange(len(names), dtype=np.int64), by_column)
    places = (columns << 32) | (bins + (1 << 31))
    return NumericBlock(tuple(names), places, arrays.integers(), arrays.integers(), arrays.floats(4, len(names)))


def _read_vector(entry: list[Any], arrays: _Reader) -> VectorState:
    n, square, symmetric = entry
    mean, stored = arrays.floats(-1), arrays.floats(-1)
    size = len(mean)
    if symmetric:
        scatter = np.empty((size, size))
        rows, columns = np.triu_indices(size)
        scatter[rows, columns] = stored
        scatter[columns, rows] = stored
    else:
        scatter = stored.reshape(size, size)
    return VectorState(n, mean, scatter, arrays.floats(-1), square)


def _read_cells(entry: dict[str, Any]) -> Cells:
    words: list[str | None] = [*entry["book"], None]
    counts = {
        (tuple(words[code] for code in groups), words[truth], words[prediction]): count
        for *groups, truth, prediction, count in entry["cells"]
    }
    return Cells(tuple(entry["features"]), counts)


def _read_sample(entry: dict[str, Any], arrays: _Reader) -> Sample:
    ids = np.empty(len(entry["ids"]), object)
    ids[:] = entry["ids"]
    hashes = arrays.hashes()
    matrix = np.empty((len(entry["numeric"]), len(ids)))
    single = np.zeros(len(matrix), bool)
    single[entry["single"]] = True
    matrix[~single] = arrays.floats(int((~single).sum()), len(ids))
    matrix[single] = arrays.floats(int(single.sum()), len(ids))
    codes = arrays.integers().astype(np.int32).reshape(len(entry["categorical"]), len(ids))
    return Sample(
        hashes,
        ids,
        MatrixColumns(tuple(entry["numeric"]), matrix),
        CodedColumns(tuple(entry["categorical"]), tuple(entry["book"]), codes),
    )


def _read_energy(entry: dict[str, Any]) -> Energy:
    active, idle = entry["joules"]
    return Energy(
        entry["requests"],
        active,
        idle,
        entry["by_component"],
        entry["by_input"],
        entry["kg_co2e"],
        entry["cpu_s"],
        entry["meter"],
        entry["country"],
    )
