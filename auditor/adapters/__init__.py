"""What can be watched, one file a system.

`ADAPTERS` maps a class, by the module it is defined in and its name, to the adapter file for it; no library is
imported to find out. An adapter file defines `watch(model, site) -> watched model`. What no line names is a plain
callable.
"""

from __future__ import annotations

import importlib
from typing import Any

from auditor.adapters import proxy
from auditor.agent.site import Site
from auditor.core.errors import ConfigurationError

ADAPTERS: tuple[tuple[str, str, str], ...] = (
    ("sklearn.base", "BaseEstimator", "tables.sklearn"),
    ("diffusers.pipelines.pipeline_utils", "DiffusionPipeline", "neural.diffusers"),
    ("transformers.pipelines.base", "Pipeline", "neural.transformers"),
    ("transformers.modeling_utils", "PreTrainedModel", "neural.transformers"),
    ("keras.src.models.model", "Model", "neural.keras"),  # before torch: with that backend it is a module, too
    ("torch.nn.modules.module", "Module", "neural.torch"),
    ("openai", "OpenAI", "apis.openai"),
    ("openai", "AsyncOpenAI", "apis.openai"),
    ("google.genai.client", "Client", "apis.genai"),
    ("google.genai.client", "AsyncClient", "apis.genai"),
    ("mlflow.pyfunc", "PyFuncModel", "tables.pyfunc"),
    ("starlette.applications", "Starlette", "web.asgi"),
)
"""(module, class, adapter file): the first line whose class is among the model's bases wins."""


def adapter_of(model: Any) -> str:
    """The adapter file for a model.

    >>> adapter_of(len)
    'web.callable'
    """
    bases = {(base.__module__, base.__name__) for base in type(model).__mro__}
    return next((file for module, name, file in ADAPTERS if (module, name) in bases), "web.callable")


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


def unwatch(watched: Any, recorder: Any) -> Any:
    """The original of what `watch` returned, its sites released; of a module's hooks those that report to `recorder`."""
    if proxy.is_proxy(watched):
        proxy.site_of(watched).release()
        return proxy.original(watched)
    site = getattr(watched, "__auditor_site__", None)
    if isinstance(site, Site):
        site.release()
        return watched.__wrapped__
    for hooked in sites_in_hooks(watched):
        if hooked.recorder is recorder:
            hooked.release()
    return watched
