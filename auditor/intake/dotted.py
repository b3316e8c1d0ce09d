"""Dotted paths: how a record's fields are called where it is a row (archive, CSV, Parquet)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TEXT_SUFFIX = ":text"
"""Marks the column that holds the texts of a descriptor whose own column holds numbers."""
INPUT_PATH = re.compile(
    r"inputs\.(?P<name>.+?)\."
    r"(?P<field>descriptors\..+|modality|missing|error|encoder|commitment|describer|embedding|scores)",
    re.DOTALL,
)
_FAMILIES = ("groups.", "sensitive.", "output.text.descriptors.", "energy.by.")
"""Below these, the rest of the path is one key, dots included."""


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The contract's record of a row; None, and vectors that hold a None, are absent.

    >>> nest({"id": "a", "inputs.x.modality": "text", "inputs.x.descriptors.words": 3.0, "groups.site": "n"})["inputs"]
    [{'name': 'x', 'modality': 'text', 'descriptors': {'words': 3.0}}]
    """
    data: dict[str, Any] = {}
    inputs: dict[str, dict[str, Any]] = {}
    for path, value in flat.items():
        if value is None or (isinstance(value, list) and None in value):
            continue
        match = INPUT_PATH.fullmatch(path)
        if match is None:
            _put(data, path, value)
            continue
        entry = inputs.setdefault(match["name"], {"name": match["name"]})
        field, _, column = match["field"].partition(".")
        if column:
            entry.setdefault("descriptors", {})[column.removesuffix(TEXT_SUFFIX)] = value
        else:
            entry[field] = value
    data["inputs"] = list(inputs.values())
    return data


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    path = path.removesuffix(TEXT_SUFFIX)
    family = next((family for family in _FAMILIES if path.startswith(family)), None)
    keys = [*family.rstrip(".").split("."), path.removeprefix(family)] if family else path.split(".")
    for key in keys[:-1]:
        below = data.setdefault(key, {})
        if not isinstance(below, dict):  # `output` and `output.label` in one row: the gate will say so
            data[path] = value
            return
        data = below
    data[keys[-1]] = value
