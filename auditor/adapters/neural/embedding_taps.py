"""Where embeddings are to be found in Hugging Face models: in modules, by model type, and in what a forward pass gives."""

from __future__ import annotations

from typing import Any

from auditor.adapters.neural.hooks import Hook, branch_layers, capturing, hook, module_at, tap_modules
from auditor.adapters.tensors import is_array, take
from auditor.adapters.watching import Open
from auditor.agent.site import Site

BRANCHES = {
    "llava": {"image": "model.multi_modal_projector"},
    "blip": {"image": "vision_model"},
    "whisper": {"audio": "model.encoder"},
}
"""Model type to the modules whose pooled output is the embedding of an input."""
EMBEDDINGS = {"image_embeds": "image", "text_embeds": "text", "audio_embeds": "audio", "video_embeds": "video"}
"""Field of a model's output to the input that it is the embedding of."""


def tap_branches(site: Site, open_calls: Open, model: Any) -> None:
    """See the modules that the option `branches` names, else those that the model's type is known for."""
    said = site.options.get("branches")
    if said is None:
        known = {name for name, _ in model.named_modules()}
        usual = BRANCHES.get(getattr(model.config, "model_type", ""), {})
        said = {name: path for name, path in usual.items() if path in known}
    modules = {(name, field): module_at(model, path) for name, field, path in branch_layers(said)}
    tap_modules(site, open_calls, modules)


def tap_outputs(site: Site, open_calls: Open, model: Any) -> None:
    """See the embeddings that the model itself gives, but those of texts, which in a pipeline are candidates."""

    def act(module: Any, args: Any, output: Any) -> None:
        flight = open_calls.described
        if flight is None or capturing():
            return
        for field, name in EMBEDDINGS.items():
            value: Any = getattr(output, field, None)
            if name != "text" and is_array(value) and len(value.shape) == 2:
                taken = take(value, None)
                flight.size += taken.size
                flight.taps.setdefault((name, "embedding"), []).append(taken)

    hook(site, open_calls, model.register_forward_hook, Hook(site, act))
