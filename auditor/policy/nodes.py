"""YAML as a tree that remembers its lines, with the scalars of YAML 1.2 and nothing that could surprise.

`no` is a word and `2026-01-31` is a text; duplicate keys, tags, anchors and aliases are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from auditor.core.errors import PolicyError

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Node:
    """A value of a document: None, bool, int, float, str, a list of nodes, or a dict of nodes by text key."""

    value: Any
    file: str
    line: int
    key_lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Any, file: str) -> Node:
        """The tree of a plain value that stands in no file."""
        if isinstance(plain, dict):
            return cls({str(key): cls.of(value, file) for key, value in plain.items()}, file, 1)
        return cls([cls.of(value, file) for value in plain] if isinstance(plain, list | tuple) else plain, file, 1)

    @property
    def where(self) -> str:
        """`file:line`, lines counted from 1."""
        return f"{self.file}:{self.line}"

    def at_key(self, key: str) -> str:
        """Where a key of this mapping stands."""
        return f"{self.file}:{self.key_lines.get(key, self.line)}"

    def find(self, path: str) -> Node:
        """The nearest node to a path such as `.spec.controls[2].title`."""
        node = self
        for key, index in _STEP.findall(path):
            inside = node.value
            if isinstance(inside, dict) and key in inside:
                node = inside[key]
            elif isinstance(inside, list) and index and int(index) < len(inside):
                node = inside[int(index)]
            else:
                break
        return node

    def plain(self) -> Any:
        """The value without lines: what canonical JSON and digests are made of."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def error(self, code: str, message: str, fix: str = "") -> PolicyError:
        """An error that points here."""
        return PolicyError(code, message, where=self.where, fix=fix)


def read_file(path: Path) -> list[Node]:
    """The documents of a YAML file, each a mapping; empty documents are left out.

    Raises
    ------
    PolicyError
        `unreadable`, `too_large`, `bad_yaml`, `duplicate_key`, `yaml_tag`, `yaml_alias`, `not_finite`, `too_deep`, `empty_file`.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise PolicyError("too_large", f"{len(data)} bytes of YAML", where=f"{path}:1", fix="split the file")
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            "unreadable", f"cannot be read: {error}", where=f"{path}:1", fix="save it as UTF-8"
        ) from error
    return read_text(text, str(path))


def read_text(text: str, file: str = "<text>") -> list[Node]:
    """The documents of a YAML text; see `read_file`."""
    try:
        documents = _compose(text, file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise PolicyError(
            "bad_yaml", f"not YAML: {problem}", where=f"{file}:{line}", fix="correct the indentation or quoting there"
        ) from error
    found = [node for node in documents if node.value is not None]
    if not found:
        raise PolicyError("empty_file", "there is no document", where=f"{file}:1", fix="write one, or delete the file")
    return found


def _compose(text: str, file: str) -> list[Node]:
    # From events, not from yaml's own constructor: only events still know tags, aliases and lines.
    documents: list[Node] = []
    stack: list[Node] = []
    pending: list[str | None] = []  # for each open mapping, the key that waits for its value
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PolicyError(
                "yaml_alias", "anchors and aliases are not used here", where=f"{file}:{line}", fix="write it out"
            )
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag not in (None, "!"):
            raise PolicyError(
                "yaml_tag", f"the tag {event.tag} is not used here", where=f"{file}:{line}", fix="drop it"
            )
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None or (event.style == "" and event.implicit[0])
            if stack and isinstance(stack[-1].value, dict) and pending[-1] is None:
                pending[-1] = _key(event.value, stack[-1], line)
                continue
            value = _scalar(event.value, f"{file}:{line}") if plain and event.implicit[0] else event.value
            _place(Node(value, file, line), stack, pending, documents)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if stack and isinstance(stack[-1].value, dict) and pending[-1] is None:
                raise PolicyError("bad_yaml", "a key must be a plain word", where=f"{file}:{line}", fix="quote it")
            if len(stack) >= MAX_DEPTH:
                raise PolicyError("too_deep", "nested too deeply", where=f"{file}:{line}", fix="flatten it")
            node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], file, line)
            _place(node, stack, pending, documents)
            stack.append(node)
            pending.append(None)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
            pending.pop()
    return documents


def _key(text: str, mapping: Node, line: int) -> str:
    if text in mapping.value:
        raise PolicyError(
            "duplicate_key",
            f"{text!r} is given twice",
            where=f"{mapping.file}:{line}",
            fix=f"keep one; the first is on line {mapping.key_lines[text]}",
        )
    mapping.key_lines[text] = line
    return text


def _place(node: Node, stack: list[Node], pending: list[str | None], documents: list[Node]) -> None:
    if not stack:
        documents.append(node)
    elif isinstance(stack[-1].value, dict):
        stack[-1].value[pending[-1]] = node
        pending[-1] = None
    else:
        stack[-1].value.append(node)


def _scalar(text: str, where: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 19 else text  # longer ones are identifiers, not numbers to judge by
    number = float(text) if _FLOAT.fullmatch(text) else None
    if _NOT_FINITE.fullmatch(text) or (number is not None and math.isinf(number)):
        raise PolicyError("not_finite", f"{text} is not a number to judge by", where=where, fix="give a finite number")
    return text if number is None else number
