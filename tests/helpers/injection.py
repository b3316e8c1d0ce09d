"""An error at the N-th executed line of the agent: the tracer that several tests share.

Lines where an error would prove nothing are left out by their form: those that evaluate nothing but names. Outside every `try` that keeps errors in, only
statements that cannot fail by themselves are left out: names, attributes, `is`, `raise`, `return`, and calls that hand
over to the host's own code or to a function of the agent, whose lines are tried in turn. Any other line gets its error;
if no `try` keeps that in, it reaches the host and the test fails.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import auditor

HOME = Path(auditor.__file__).parent
ROOMS = (f"{HOME / 'agent'}/", f"{HOME / 'adapters'}/")
PASSED_ON = frozenset({next, iter, enumerate, getattr, object.__getattribute__, type, isinstance, suppress})
"""Calls of the language that only pass on to the host's object, or, for `suppress`, make a shield."""
DATA = (str, bytes, bytearray, int, float, list, tuple, dict, set, frozenset)
"""A method of these is no code of the host's: it has to be inside a `try`."""
PARTS = (
    *(ast.Name, ast.Constant, ast.Attribute, ast.Starred, ast.keyword, ast.Tuple, ast.Lambda, ast.IfExp, ast.Call),
    *(ast.Await, ast.Yield, ast.YieldFrom, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Subscript),
    *(ast.GeneratorExp, ast.comprehension, ast.expr_context, ast.boolop, ast.Not, ast.Is, ast.IsNot, ast.In),
    *(ast.arguments, ast.arg),
)
Line = tuple[str, int]


class Injector:
    """Raises at the N-th line in the rooms named, or once at a line that is named, on the threads that it traces.

    Attributes
    ----------
    lines : int
        Executed lines so far.
    first : dict
        The number of the first execution of each line.
    where : str
        The line that got the error; empty before.
    """

    def __init__(
        self, at: int | Line, error: Callable[[], BaseException] = RuntimeError, *, rooms: tuple[str, ...]
    ) -> None:
        self.at = at
        self.error = error
        self.rooms = tuple(f"{HOME / room}/" for room in rooms)
        self.lines = 0
        self.where = ""
        self.first: dict[Line, int] = {}
        for room in ROOMS:  # read now: the parser must not run in two threads that are being traced
            for file in Path(room).rglob("*.py"):
                _nodes(str(file))

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self.rooms):
            return None
        if event == "line" and not _idle(name, frame.f_lineno) and (_sheltered(frame) or not _passes_on(frame)):
            self.lines += 1
            self.first.setdefault((name, frame.f_lineno), self.lines)
            if self.at in (self.lines, (name, frame.f_lineno)) and not self.where:
                self.where = f"{Path(name).name}:{frame.f_lineno}: {_lines(name)[frame.f_lineno - 1].strip()}"
                raise self.error()
        return self

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace this thread."""
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)


@functools.cache
def _lines(name: str) -> list[str]:
    return Path(name).read_text().splitlines()


@functools.cache
def _nodes(name: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse("\n".join(_lines(name)))))


@functools.cache
def _shields(name: str) -> frozenset[int]:
    """Lines of a file inside a `try` that catches every Exception and raises nothing again, or a `with shield(...)`."""
    found: set[int] = set()
    for node in _nodes(name):
        if (isinstance(node, ast.Try) and any(map(_keeps_in, node.handlers))) or (
            isinstance(node, ast.With) and any(map(_is_shield, node.items))
        ):
            found.update(range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1))
    return frozenset(found)


@functools.cache
def _quiet(name: str) -> frozenset[int]:
    """Lines of single statements whose errors the agent leaves to the host to find: `except Exception`, and nothing noted."""
    tries = [node for node in _nodes(name) if isinstance(node, ast.Try) and len(node.body) == 1]
    quiet = [node for node in tries if any(_keeps_in(each) and each.name is None for each in node.handlers)]
    return frozenset(node.body[0].lineno for node in quiet)


def _keeps_in(handler: ast.ExceptHandler) -> bool:
    wide = isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    nodes = list(ast.walk(handler))
    noted = any(isinstance(node, ast.Attribute) and node.attr in ("note", "outside") for node in nodes)
    passed = handler.name is not None and not noted  # thrown into a generator of the host's, for one
    return wide and not passed and not any(isinstance(node, ast.Raise) for node in nodes)


def _is_shield(item: ast.withitem) -> bool:
    made = item.context_expr
    return isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "shield"


def _sheltered(frame: FrameType | None) -> bool:
    """Whether an error in this frame meets a `try` of the agent on its way out, that notes it."""
    if frame is not None and frame.f_lineno in _quiet(frame.f_code.co_filename):
        return False
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ROOMS) and frame.f_lineno in _shields(name):
            return True
        frame = frame.f_back
    return False


@functools.cache
def _idle(name: str, line: int) -> bool:
    """Whether nothing is evaluated but names and constants, or a lock is let go in a `finally`."""
    finals = [each for node in _nodes(name) if isinstance(node, ast.Try) for each in node.finalbody]
    calls = [each.value for each in finals if each.lineno == line and isinstance(each, ast.Expr)]
    if any(isinstance(call, ast.Call) and not call.args and not call.keywords for call in calls):
        return True
    nodes = [node for part in _evaluated(name, line, "") for node in ast.walk(part)]
    return all(isinstance(node, (ast.Name, ast.Constant, ast.expr_context)) for node in nodes)


@functools.cache
def _evaluated(name: str, line: int, function: str) -> list[ast.AST]:
    """What is evaluated at a line: a simple statement, the head of a compound one, or the body of a lambda."""
    kinds = {"<lambda>": ast.Lambda, "<genexpr>": ast.GeneratorExp}
    kind = kinds.get(function, (ast.stmt, ast.ExceptHandler))
    holding = [
        node
        for node in _nodes(name)
        if isinstance(node, kind) and _start(node) <= line <= (node.end_lineno or 0)  # type: ignore[attr-defined]
    ]
    node = min(holding, key=lambda node: (node.end_lineno or 0) - _start(node))  # type: ignore[attr-defined]
    if isinstance(node, ast.Lambda):
        return [node.body]
    if isinstance(
        node, (ast.FunctionDef, ast.AsyncFunctionDef)
    ):  # a decorator is called; annotations are not evaluated
        return [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    bodies = ("body", "handlers", "orelse", "finalbody", "annotation", "type_params")
    parts = [part for field, part in ast.iter_fields(node) if field not in bodies or isinstance(node, ast.GeneratorExp)]
    return [
        each for part in parts for each in (part if isinstance(part, list) else [part]) if isinstance(each, ast.AST)
    ]


def _start(node: Any) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])


def _passes_on(frame: FrameType) -> bool:
    """Whether the line only holds names, or hands over to the host's code or to other lines of the agent."""
    parts = _evaluated(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    nodes = [node for part in parts for node in ast.walk(part)]
    plain = all(isinstance(node, (*PARTS, ast.withitem)) for node in nodes)
    return plain and all(_hands_over(node.func, frame) for node in nodes if isinstance(node, ast.Call))


def _hands_over(called: ast.expr, frame: FrameType) -> bool:
    chain: list[str] = []
    while isinstance(called, ast.Attribute):
        chain.insert(0, called.attr)
        called = called.value
    if isinstance(called, ast.Call):  # `getattr(target, name)(...)`: the inner call is looked at by itself
        return not chain or (isinstance(called.func, ast.Name) and _is_ours(frame.f_globals.get(called.func.id)))
    if not isinstance(called, ast.Name):
        return False
    local = called.id in frame.f_locals
    missing = getattr(builtins, called.id, None)
    owner = found = frame.f_locals[called.id] if local else frame.f_globals.get(called.id, missing)
    for name in chain:
        owner = found
        try:
            found = found.__dict__[name] if isinstance(found, ModuleType) else object.__getattribute__(found, name)
        except (AttributeError, KeyError):  # the host's own way of finding it
            return local
    if local:
        return not (chain and isinstance(owner, DATA))
    return _is_ours(found) or any(found is each for each in PASSED_ON)


def _is_ours(found: Any) -> bool:
    return str(getattr(found, "__module__", "")).startswith("auditor")
