"""diffusers pipelines: the prompt that goes in, the picture that comes out, one record for each picture.

A record has no place for a produced picture in its output. It stands among the inputs, under the name `generated`, where
its descriptors are measured like those of any image: a model whose pictures grow darker drifts. What the safety checker
hides counts as refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.adapters.neural.answers import Reader
from auditor.adapters.neural.hooks import encoder_of, tap_modules
from auditor.adapters.neural.processors import model_name
from auditor.adapters.rows import Answers, Column, Flight
from auditor.adapters.tensors import Lazy, is_array, length
from auditor.adapters.watching import OF_MODULES, Session, Watching
from auditor.agent.site import Binder, InputSpec, Site

INPUTS = {
    "prompt": "text",
    "negative_prompt": "text",
    "image": "image",
    "mask_image": "image",
    "control_image": "image",
}
"""Arguments that are inputs, with their modality."""
PRODUCED = "generated"


def watch(model: Any, site: Site) -> Any:
    """A stand-in for the pipeline, which passes for it; its text encoder is listened to for the prompt's embedding."""
    return DiffusionWatching(model, site).proxy


class DiffusionWatching(Watching):
    """One watched pipeline."""

    def __init__(self, model: Any, site: Site) -> None:
        self.reader = Reader(site.answer)
        self.binder = Binder(model.__call__)
        super().__init__(model, site, [*filter(self.binder.knows, INPUTS), PRODUCED])
        self.encoder: str | None = None
        encoder: Any = getattr(model, "text_encoder", None)
        if hasattr(encoder, "register_forward_hook"):
            self.encoder = encoder_of(site, encoder, encoder.named_parameters(), model_name(encoder))
            tap_modules(site, self.open, {("prompt", "embedding"): encoder})
        self.stand_in({"__call__": self.enter}, OF_MODULES)

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
        inputs = self.binder.bind(args, kwargs)
        prompts = _prompts(inputs)
        each = int(inputs.get("num_images_per_prompt") or 1)
        produced = Produced()

        def columns() -> list[Column]:
            return [*self._given(inputs, prompts, each), *self._made(produced)]

        def read(flight: Flight, result: Any) -> Answers:
            return self.read(flight, result, produced, each)

        return self.session(args, kwargs, prompts * each, columns, read)

    def _given(self, inputs: Mapping[str, Any], prompts: int, each: int) -> list[Column]:
        """What goes in, once for each picture that is to come out of it."""
        found = []
        for name, modality in INPUTS.items():
            declared = self.site.inputs is not None and name in self.site.inputs
            value: Any = inputs.get(name)
            if self.site.inputs is not None and not declared:
                continue
            if value is None and name != "prompt" and not declared:
                continue
            spec = (self.site.inputs or {}).get(name) or InputSpec(name)
            rows = length(value)
            if rows == prompts and rows is not None:
                value = [value[index // each] for index in range(prompts * each)]
            encoder = spec.encoder or (self.encoder if name == "prompt" else None)
            error = "not_by_row" if rows not in (None, 1, prompts) else None
            if name == "prompt" and value is None and inputs.get("prompt_embeds") is not None:
                error = "unreadable"  # the prompt was encoded elsewhere
            found.append(
                Column(
                    name,
                    value,
                    each=rows == prompts,
                    modality=spec.modality or modality,
                    encoder=encoder,
                    error=error,
                )
            )
        return found

    def _made(self, produced: Produced) -> list[Column]:
        if self.site.inputs is not None and PRODUCED not in self.site.inputs:
            return []
        return [produced.column]

    def read(self, flight: Flight, result: Any, produced: Produced, each: int) -> Answers:
        """The produced pictures, whether the checker hid them, and the prompts' embeddings."""
        images = result[0] if isinstance(result, tuple) else getattr(result, "images", None)
        flight.size += produced.take(images, flight)
        found: dict[str, Any] = {}
        if self.site.answer.extract is not None:
            found = self.reader.read(flight, result)
        hidden = result[1] if isinstance(result, tuple) and len(result) > 1 else None
        hidden = getattr(result, "nsfw_content_detected", hidden)
        if isinstance(hidden, (list, tuple)) and len(hidden) == flight.count:
            found.setdefault("refused", [bool(hidden[row]) for row in flight.rows])
        fires = flight.taps.get(("prompt", "embedding"))
        if fires:  # the prompts come first; what is to be avoided, if anything, second
            seen = found.setdefault("inputs", {}).setdefault("prompt", {})
            seen["embedding"] = Lazy(lambda position: _row(fires[0].at(0), flight.rows[position], flight.count))
        return found


class Produced:
    """The pictures of one call: an input whose value is known when the call is over."""

    def __init__(self) -> None:
        self.column = Column(PRODUCED, None, each=True, modality="image", error="not_produced")

    def take(self, images: Any, flight: Flight) -> int:
        """Freeze the pictures of the described rows; the bytes they take."""
        column = self.column
        if length(images) != flight.count:
            return 0
        column.error = None
        column.value = images
        column.convert = _in_range if is_array(images) else None
        return column.freeze(flight.rows)


def _prompts(inputs: Mapping[str, Any]) -> int:
    """Prompts of a call."""
    for name in ("prompt", "prompt_embeds", "image"):
        found = length(inputs.get(name))
        if found is not None:
            return found
    return 1


def _row(embeddings: Any, row: int, count: int) -> Any:
    """The prompt's embedding of one picture; prompts are encoded once, whatever they are drawn."""
    prompts = len(embeddings)
    return embeddings[row * prompts // count] if prompts and count % prompts == 0 else None


def _in_range(image: Any) -> Any:
    """A picture as numbers from 0 to 1; latents are none."""
    import numpy

    if image.shape[-1] not in (1, 3, 4) and image.shape[0] not in (1, 3):
        raise ValueError("latents are no picture")
    return numpy.clip(image, 0.0, 1.0) if image.dtype.kind == "f" else image
