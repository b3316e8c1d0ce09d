"""Flight recorder and inspector of deployed multimodal AI.

>>> import auditor
>>> agent = auditor.Agent("digit-reader", "1.4.0")       # doctest: +SKIP
>>> model = agent.watch(model)                           # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.agent import Agent as Agent
    from auditor.agent.canary import Canaries as Canaries
    from auditor.core.errors import AuditorError as AuditorError

__version__ = "0.1.0"

_PUBLIC = {"Agent": "auditor.agent", "AuditorError": "auditor.core.errors", "Canaries": "auditor.agent.canary"}
__all__ = ["Agent", "AuditorError", "Canaries", "__version__"]


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: `import auditor` itself loads nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'auditor' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
