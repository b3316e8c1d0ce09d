"""Plugins by kind and name: a file in the kind's folder, or an entry point in group `auditor.<kind>`.

A file that defines `PLUGIN` is a plugin, and its name is the plugin's name. Listing imports nothing; a plugin whose library is missing fails only when asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from auditor.core.catalogue import CORE_METRICS, MetricSpec, Vocabulary
from auditor.core.errors import PluginError
from auditor.ports import Option

KINDS: dict[str, str] = {
    "descriptors": "payload -> descriptor columns, one a modality",
    "encoders": "payload -> embedding, for models that yield none",
    "drift": "window against baseline -> readings",
    "fairness": "window -> readings by group",
    "quality": "window -> readings of the answers' quality",
    "energy": "what counts joules beside a model",
    "sinks": "copies of an audit, made after it was committed",
    "engines": "where summarising runs",
    "operators": "the range of figures that satisfies a condition of a policy",
}
MEASURERS = ("drift", "fairness", "quality")
_PACKAGE = Path(__file__).parent
_ROOMS = {"operators": "policy.operators"}
"""Packages of built-in plugins, where they are not called like the kind."""


def _room(kind: str) -> str:
    return _ROOMS.get(kind, kind)


@cache
def _points() -> Any:
    """Every entry point of the interpreter: reading them takes longer than all else that a short command does."""
    return importlib.metadata.entry_points()


def names(kind: str) -> tuple[str, ...]:
    """Names of the plugins of a kind, sorted; nothing is imported."""
    if kind not in KINDS:
        raise PluginError("unknown_kind", f"{kind!r} is not a kind of plugin", fix=f"one of {', '.join(KINDS)}")
    folder = _PACKAGE.joinpath(*_room(kind).split("."))
    found = {path.stem for path in folder.glob("*.py") if b"\nPLUGIN" in path.read_bytes()}
    for point in _points().select(group=f"auditor.{kind}"):
        if point.name in found:
            raise PluginError(
                "plugin_clash", f"two {kind} plugins are called {point.name!r}", where=point.value, fix="rename one"
            )
        found.add(point.name)
    return tuple(sorted(found))


def modalities() -> tuple[str, ...]:
    """Names of the modalities, sorted: those of the descriptor plugins; nothing is imported."""
    return names("descriptors")


def load(kind: str, name: str) -> Any:
    """The plugin object; PluginError when it is unknown or a library that it `requires` is not installed."""
    plugin = _plugin(kind, name)
    for library in getattr(plugin, "requires", ()):
        if importlib.util.find_spec(library) is None:
            raise _library_missing(kind, name, library)
    return plugin


def _plugin(kind: str, name: str) -> Any:
    """The plugin object, whether or not its library is installed: what it declares can be read either way."""
    if name not in names(kind):
        raise PluginError(
            "unknown_plugin", f"there is no {kind} plugin {name!r}", fix=f"one of {', '.join(names(kind))}"
        )
    try:
        for point in _points().select(group=f"auditor.{kind}", name=name):
            return point.load()
        return importlib.import_module(f"auditor.{_room(kind)}.{name}").PLUGIN
    except ModuleNotFoundError as error:
        raise _library_missing(kind, name, error.name or "a library") from error


def _library_missing(kind: str, name: str, library: str) -> PluginError:
    return PluginError(
        "library_missing", f"the {kind} plugin {name!r} needs {library}", where=kind, fix="pip install 'auditor[all]'"
    )


def options(kind: str) -> dict[str, tuple[Option, ...]]:
    """What the plugins of a kind (`sinks` or `energy`) can be told in settings, by name of the plugin."""
    return {name: tuple(_plugin(kind, name).options) for name in names(kind)}


def available(kind: str, only: Collection[str] | None = None) -> dict[str, Any]:
    """The plugins of a kind (those named in `only`) whose libraries are installed, by name."""
    found = {}
    for name in names(kind):
        if only is not None and name not in only:
            continue
        try:
            found[name] = load(kind, name)
        except PluginError as error:
            if error.code != "library_missing":
                raise
    return found


def catalogue() -> dict[str, MetricSpec]:
    """Every metric that core and the measurers declare, by name, installed or not; two owners of a name are an error."""
    found = {spec.name: spec for spec in CORE_METRICS}
    for kind in MEASURERS:
        for name in names(kind):
            for spec in _plugin(kind, name).metrics:
                if spec.name in found and found[spec.name] != spec:
                    raise PluginError(
                        "metric_clash", f"two plugins declare {spec.name!r} differently", where=f"{kind}/{name}"
                    )
                found[spec.name] = spec
    return found


@cache
def vocabulary() -> Vocabulary:
    """Every metric, modality and operator that plugins and core declare; read once a process."""
    return Vocabulary(
        metrics=catalogue(),
        modalities={name: _plugin("descriptors", name) for name in names("descriptors")},
        operators={name: _plugin("operators", name) for name in names("operators")},
    )
