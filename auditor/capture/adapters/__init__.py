"""What can be watched, one file each.

`ADAPTERS` maps a class, by the module it is defined in and its name, to the adapter file that knows it; no library is
imported to find out. An adapter file defines `watch(model, site) -> watched model`. What no line names is a plain
callable.
"""

from __future__ import annotations

import importlib
from typing import Any

from auditor.capture.site import Site
from auditor.core.errors import ConfigurationError

ADAPTERS: tuple[tuple[str, str, str], ...] = (
    ("sklearn.base", "BaseEstimator", "sklearn"),
    ("diffusers.pipelines.pipeline_utils", "DiffusionPipeline", "diffusers"),
    ("transformers.pipelines.base", "Pipeline", "transformers"),
    ("transformers.modeling_utils", "PreTrainedModel", "transformers"),
    ("keras.src.models.model", "Model", "keras"),  # before torch: with that backend it is a module, too
    ("torch.nn.modules.module", "Module", "torch"),
    ("openai", "OpenAI", "openai"),
    ("openai", "AsyncOpenAI", "openai"),
    ("google.genai.client", "Client", "genai"),
    ("google.genai.client", "AsyncClient", "genai"),
    ("mlflow.pyfunc", "PyFuncModel", "pyfunc"),
    ("starlette.applications", "Starlette", "asgi"),
)
"""(module, class, adapter file): the first line whose class is among the model's bases wins."""


def adapter_of(model: Any) -> str:
    """The adapter file for a model.

    >>> adapter_of(len)
    'callable'
    """
    bases = {(base.__module__, base.__name__) for base in type(model).__mro__}
    return next((file for module, name, file in ADAPTERS if (module, name) in bases), "callable")


def watch(model: Any, site: Site) -> Any:
    """The watched form of a model; ConfigurationError for an option that its adapter does not have (`OPTIONS`)."""
    name = adapter_of(model)
    adapter = importlib.import_module(f"{__name__}.{name}")
    known: frozenset[str] = getattr(adapter, "OPTIONS", frozenset())
    for option in site.options:
        if option not in known:
            raise ConfigurationError(
                "unknown_option",
                f"{option!r} is not an option of a {type(model).__name__}",
                where="watch",
                fix=f"leave it out, or use one of {', '.join(sorted(known))}" if known else "leave it out",
            )
    return adapter.watch(model, site)


def sites_in_hooks(watched: Any) -> list[Site]:
    """The sites whose hooks a module carries, each once."""
    hooks = getattr(watched, "_forward_pre_hooks", None)
    found = [getattr(hook, "__auditor_site__", None) for hook in hooks.values()] if isinstance(hooks, dict) else []
    return list(dict.fromkeys(site for site in found if isinstance(site, Site)))
