"""Files that import each other in a circle can only be read together: no circle of more than three files."""

from __future__ import annotations

import ast
from pathlib import Path

import auditor

PACKAGE = Path(auditor.__file__).parent
LARGEST = 3


def imports() -> dict[str, set[str]]:
    """Module to the modules of the package that it imports: anywhere in the file, for types alone included."""
    files = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    named.add(whole if whole in files else node.module)
        found[module] = (named & files.keys()) - {module}
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(graph[module])
    return seen


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which imports, by way of others, all of its group."""
    below = {module: reached(graph, module) for module in graph}
    groups = {frozenset({module, *(other for other in below[module] if module in below[other])}) for module in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_no_circle_of_imports_has_more_than_three_files() -> None:
    found = circles(imports())
    assert [circle for circle in found if len(circle) > LARGEST] == []


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]
