"""What can be watched, one file each.

`ADAPTERS` maps a class, by the module it is defined in and its name, to the adapter file that knows it; no library is
imported to find out. An adapter file defines `watch(model, site) -> watched model`. What no line names is a plain
callable.
"""

from __future__ import annotations

import importlib
from typing import Any

from auditor.capture.site import Site

ADAPTERS: tuple[tuple[str, str, str], ...] = (("sklearn.base", "BaseEstimator", "sklearn"),)
"""(module, class, adapter file): the first line whose class is among the model's bases wins."""


def adapter_of(model: Any) -> str:
    """The adapter file for a model.

    >>> adapter_of(len)
    'callable'
    """
    bases = {(base.__module__, base.__name__) for base in type(model).__mro__}
    return next((file for module, name, file in ADAPTERS if (module, name) in bases), "callable")


def watch(model: Any, site: Site) -> Any:
    """The watched form of a model."""
    return importlib.import_module(f"{__name__}.{adapter_of(model)}").watch(model, site)
