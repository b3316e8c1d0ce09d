"""Rows of features: each feature is its own column; numbers stay numbers, short strings become categories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.core.values import typed
from auditor.descriptors._common import array_of, number, refuse_type
from auditor.descriptors._personal import personal_counts
from auditor.ports import DescriptorColumn

MAX_FEATURES = 2000
MAX_CATEGORY = 64
"""Longer strings are free text, not categories: they are counted, not kept."""
MAX_WORDS = 5
"""Words of a category; a sentence of three words or more is free text, too."""
_SENTENCE = re.compile(r"\S\s+\S+\s.*[.!?](?:\s|$)|[.!?]\s+[A-Z].*\s\S")
MAX_NAME = 200


class TabularDescriptor:
    """Describes a mapping of feature to value, a named tuple, or a 1-D array (features `x0`, `x1`, ...).

    Numbers are kept exactly as floats (NaN and infinity are None), truth values become `true` and `false` whatever their
    spelling, dates and times seconds since 1970, durations seconds. Free text (sentences, more than 5 words or 64 characters,
    e-mail addresses, international telephone numbers) gives None and counts in `n_text`, a value of another kind in
    `n_unusable`. A feature that is called like one of the columns below takes its place.
    """

    modality = "tabular"
    title = "Tables"
    headline = "Table inputs changed"
    advice = "Compare the changed columns with the systems that fill them: a new code, unit or default value?"
    version = "3"
    columns: tuple[DescriptorColumn, ...] = (
        number("n_features", "{feature}", "Features of the row, present or not."),
        number("n_missing", "{feature}", "Features without a value: None, NA, NaN or infinite."),
        number("n_unusable", "{feature}", "Features whose value is neither a number, a time nor a string."),
        number("n_text", "{feature}", "Features with free text: counted, never kept."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """One figure a feature, and the columns above; DescribeError for what is no row or has too many features."""
        found: dict[str, Scalar] = {}
        missing = unusable = texts = 0
        for key, entry in _features(value):
            name = key if isinstance(key, str) else str(key)
            if not name or len(name) > MAX_NAME or name in found:
                unusable += 1
                continue
            figure, usable = _figure(entry)
            if isinstance(figure, str) and is_free_text(figure):
                figure = None
                texts += 1
            elif not usable:
                unusable += 1
            elif figure is None:
                missing += 1
            found[name] = figure
        totals = {"n_features": len(found), "n_missing": missing, "n_unusable": unusable, "n_text": texts}
        return {**{name: float(total) for name, total in totals.items()}, **found}


def is_free_text(text: str) -> bool:
    """Whether a string is free text and no category.

    >>> is_free_text("New York City"), is_free_text("Some college, no degree"), is_free_text("Please call me back. Thanks")
    (False, False, True)
    """
    if len(text) > MAX_CATEGORY or text.count(" ") >= MAX_WORDS:
        return True
    if " " in text and _SENTENCE.search(text):
        return True
    return ("@" in text or "+" in text) and any(personal_counts(text, sum(map(str.isdigit, text))).values())


def _features(value: Any) -> Iterable[tuple[Any, Any]]:
    if type(value) is dict:
        _check_size(len(value))
        return list(value.items())
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "to_dict") and getattr(value, "ndim", 0) == 1:  # a pandas Series: one row with named features
        _check_size(len(value))
        value = value.to_dict()
    if isinstance(value, Mapping):
        _check_size(len(value))
        return list(value.items())
    if isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "__array__"):
        if isinstance(value, (list, tuple)):
            _check_size(len(value))
            return [(f"x{index}", entry) for index, entry in enumerate(value)]
        row = array_of(value, "a row of features")
        if row.ndim == 2 and row.shape[0] == 1:
            row = row[0]
        if row.ndim != 1:
            raise DescribeError(
                "bad_shape", f"shape {row.shape} is not a row", fix="give one row of features at a time"
            )
        _check_size(len(row))
        return [(f"x{index}", entry) for index, entry in enumerate(row.tolist())]
    raise refuse_type(value, "a mapping of features")


def _check_size(n: int) -> None:
    if n > MAX_FEATURES:
        raise DescribeError("too_large", f"{n} features are more than {MAX_FEATURES}", fix="name the features to watch")


def _figure(value: Any) -> tuple[Scalar, bool]:
    """The column's figure, and whether the value was of a usable kind."""
    if type(value) is float:  # most are
        return typed(value)
    if isinstance(value, np.datetime64):
        micros = value.astype("datetime64[us]")
        return (None, True) if np.isnat(value) else (float(micros.astype(np.int64)) / 1e6, True)
    if isinstance(value, np.timedelta64):
        return (None, True) if np.isnat(value) else typed(value.astype("timedelta64[us]").item())
    if isinstance(value, np.generic) and value.dtype.kind not in "biufU":
        return None, False
    return typed(value.item() if isinstance(value, np.generic) else value)


PLUGIN = TabularDescriptor()
