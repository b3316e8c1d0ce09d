"""Dotted paths: how a record's fields are called where it is a row (archive, CSV, Parquet), derived from `core.record`."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from auditor.core.gate import hints
from auditor.core.record import Input, Record

TEXT_SUFFIX = ":text"
"""Marks the column that holds the texts of a descriptor whose own column holds numbers."""
_FIELDS = "|".join(rf"{name}\..+" if name == "descriptors" else name for name in hints(Input) if name != "name")
INPUT_PATH = re.compile(rf"inputs\.(?P<name>.+?)\.(?P<field>{_FIELDS})", re.DOTALL)

Cells = Sequence[Any]
Tree = dict[str, Any]
"""Keys of a record to cells, one a row, or to a further tree. `inputs` has a tree, or entries, by the input's name."""


@lru_cache(maxsize=8192)
def locate(path: str) -> tuple[tuple[str, ...], Any]:
    """The keys within a record that a path stands for, and the type of their value; None for a path of no record.

    >>> locate("inputs.a.b.descriptors.c.d")[0], locate("groups.age.group")[0]
    (('inputs', 'a.b', 'descriptors', 'c.d'), ('groups', 'age.group'))
    """
    path = path.removesuffix(TEXT_SUFFIX)
    match = INPUT_PATH.fullmatch(path)
    if match is not None:
        keys, hint = _below(Input, match["field"])
        return ("inputs", match["name"], *keys), hint
    if path.startswith("sensitive."):
        return ("sensitive", path.removeprefix("sensitive.")), str
    return _below(Record, path)


def _below(hint: Any, path: str) -> tuple[tuple[str, ...], Any]:
    hint = bare(hint)
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return (path,), get_args(hint)[1]
    name, _, rest = path.partition(".")
    known = hints(hint) if dataclasses.is_dataclass(hint) else {}  # type: ignore[arg-type]
    if name not in known:
        return (path,), None
    if not rest:
        return (name,), known[name]
    keys, found = _below(known[name], rest)
    return (name, *keys), found


def bare(hint: Any) -> Any:
    """A type without its limits, and without None where that is the only alternative."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        arms = [arm for arm in get_args(hint) if arm is not type(None)]
        return bare(arms[0]) if len(arms) == 1 else hint
    return hint


def tree_of(columns: Mapping[str, Cells]) -> Tree:
    """The tree of columns by path; of two cells for one key the first that is not None counts.

    Raises
    ------
    ValueError
        Naming a path that lies below another one's value.
    """
    tree: Tree = {}
    for path, cells in columns.items():
        *above, key = locate(path)[0]
        node = tree
        for step in above:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise ValueError(path)
        other = node.get(key)
        if isinstance(other, dict):
            raise ValueError(path)
        if other is not None:
            cells = [old if old is not None else new for old, new in zip(other, cells, strict=True)]
        node[key] = cells
    return tree


def rows_of(tree: Tree, n: int) -> list[dict[str, Any]]:
    """The contract's records, row by row; a None is absent.

    >>> columns = {"id": ["a"], "inputs.x.modality": ["text"], "inputs.x.descriptors.words": [3.0], "groups.site": ["n"]}
    >>> rows_of(tree_of(columns), 1)[0]["inputs"]
    [{'name': 'x', 'modality': 'text', 'descriptors': {'words': 3.0}}]
    """
    inputs = tree.get("inputs", {})
    if isinstance(inputs, dict):
        entries = [
            [entry and {"name": name, **entry} for entry in (objects_of(node) if isinstance(node, dict) else node)]
            for name, node in inputs.items()
        ]
        named = [list(filter(None, row)) for row in zip(*entries, strict=True)] if entries else [[] for _ in range(n)]
        tree = {**tree, "inputs": named}
    return [row or {} for row in objects_of(tree)]


def objects_of(tree: Tree) -> list[dict[str, Any] | None]:
    """The objects of a tree with at least one column, row by row; None where all cells are."""
    keys = list(tree)
    columns = [objects_of(cells) if isinstance(cells, dict) else cells for cells in tree.values()]
    rows = zip(*columns, strict=True)
    if not any(None in cells for cells in columns):
        return [dict(zip(keys, row, strict=True)) for row in rows]
    return [{key: cell for key, cell in zip(keys, row, strict=True) if cell is not None} or None for row in rows]
