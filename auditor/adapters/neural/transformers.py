"""Hugging Face transformers: pipelines, and models that are called, generate, or embed.

Of a pipeline the host's own inputs are seen (images, texts, sounds) and its answers; of a model the tensors that went in,
read back with the `processor` where one is given. Dual encoders give the embeddings of both inputs in their shared space.
What is handed out is a stand-in that passes for the original; the original is not changed, but for hooks on the parts
that give embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auditor.adapters.neural.answers import Reader
from auditor.adapters.neural.columns import unscaled
from auditor.adapters.neural.embedding_taps import EMBEDDINGS, tap_branches
from auditor.adapters.neural.generation import Generation
from auditor.adapters.neural.hooks import Hook, encoder_of, hook
from auditor.adapters.neural.processors import Processors, model_name
from auditor.adapters.rows import Answers, Column, Flight, begin
from auditor.adapters.tensors import Lazy, is_array, length, take
from auditor.adapters.watching import OF_MODULES, Enter, Entry, Open, Session, Watching
from auditor.agent.site import Binder, InputSpec, Site
from auditor.core.errors import ConfigurationError

OPTIONS = frozenset({"branches", "paired", "processor"})
ROLES = {
    "pixel_values": ("image", "image"),
    "pixel_values_videos": ("video", "video"),
    "input_ids": ("text", "text"),
    "input_features": ("audio", "audio"),
    "input_values": ("audio", "audio"),
}
"""Argument to (input, modality)."""
FEATURES = {"get_image_features": "image", "get_text_features": "text", "get_audio_features": "audio"}
CLASSIFIERS = (
    *("ForSequenceClassification", "ForImageClassification", "ForVideoClassification", "ForAudioClassification"),
    "ForQuestionAnswering",
)
_MOST_IMAGES = 8


def watch(model: Any, site: Site) -> Any:
    """A stand-in for a pipeline or a model.

    Options
    -------
    processor : processor, tokenizer, image processor, or a list of them
        Of a model (a pipeline has its own): texts are decoded, pixels un-normalised, generated tokens become words.
    branches : mapping of str to str or mapping
        Input to the path of the module (of a pipeline: of its model's) whose pooled output is its embedding; default by
        model type.
    paired : bool
        Of a dual encoder: whether the i-th text belongs to the i-th image (default: when there are as many of both).
        Otherwise the texts are candidates for every image.
    """
    from auditor.adapters.neural import pipelines

    if hasattr(model, "postprocess") and hasattr(model, "task"):
        for option in sorted(set(site.options) - {"branches"}):
            raise ConfigurationError(
                "unknown_option", f"{option!r} is not an option of a pipeline", where="watch", fix="leave it out"
            )
        return pipelines.watch(model, site)
    return ModelWatching(model, site).proxy


class ModelWatching(Watching):
    """One watched model."""

    def __init__(self, model: Any, site: Site) -> None:
        super().__init__(model, site, sorted({name for name, _ in ROLES.values()}))
        self.generating = Open()
        self.processors = Processors(site.options.get("processor"))
        self.encoder = encoder_of(site, model, model.named_parameters(), model_name(model))
        self.reader = Reader(site.answer)
        self.generation = Generation(model, self.processors)
        tap_branches(site, self.open, model)
        self.stand_in(self._entries(), OF_MODULES)

    def _entries(self) -> dict[str, Enter]:
        """Watched methods of the model, each with what happens before it."""
        entries: dict[str, Enter] = {"__call__": self._entry(Binder(self.model.forward), self._count, self._answer)}
        if callable(getattr(type(self.model), "generate", None)):
            entries["generate"] = self._generate()
            hook(self.site, self.open, self.model.register_forward_hook, Hook(self.site, self._first_token))
        for name, role in FEATURES.items():
            if callable(getattr(type(self.model), name, None)):
                binder = Binder(getattr(self.model, name))
                entries[name] = self._entry(binder, self._count, self._features(role))
        return entries

    def _entry(
        self,
        binder: Binder,
        count_of: Callable[[Mapping[str, Any]], int],
        answer: Callable[[Flight, Any, Mapping[str, Any]], Answers],
    ) -> Enter:
        def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
            inputs = binder.bind(args, kwargs)
            count = count_of(inputs)
            return self.session(
                args,
                kwargs,
                count,
                lambda: self.columns(inputs, count),
                lambda flight, result: answer(flight, result, inputs),
            )

        return enter

    # -- inputs -------------------------------------------------------------------------------------------------------

    def _count(self, inputs: Mapping[str, Any]) -> int:
        """Records of a call: its pairs, or its images (sounds) when texts are candidates for each of them."""
        others = [length(inputs.get(name)) for name in ROLES if name != "input_ids" and inputs.get(name) is not None]
        texts = length(inputs.get("input_ids"))
        found = [number for number in others if number is not None]
        if self._is_dual and found:
            return found[0]
        if texts is None:
            embeds = length(inputs.get("inputs_embeds"))
            return found[0] if found else embeds or 1
        return texts

    @property
    def _is_dual(self) -> bool:
        return any(callable(getattr(type(self.model), name, None)) for name in ("get_text_features",))

    def columns(self, inputs: Mapping[str, Any], count: int) -> list[Column]:
        """The inputs of a call under the names of their modalities."""
        specs = self.site.inputs
        found: dict[str, Column] = {}
        for argument, (name, modality) in ROLES.items():
            value = inputs.get(argument)
            if value is None or (specs is not None and name not in specs):
                continue
            spec = (specs or {}).get(name) or InputSpec(name)
            for column in self._of_argument(argument, value, count, spec, spec.modality or modality):
                found[column.name] = column
        for name, spec in (specs or {}).items():
            found.setdefault(name, Column(name, None, each=False, modality=spec.modality))
        return list(found.values())

    def _of_argument(self, argument: str, value: Any, count: int, spec: InputSpec, modality: str) -> list[Column]:
        rows = length(value)
        encoder = spec.encoder or self.encoder
        rate = spec.rate if isinstance(spec.rate, (int, float)) else self.processors.rate

        def column(name: str, value: Any, error: str | None = None, convert: Any = None) -> Column:
            each = rows == count and error is None
            return Column(
                name, value, each=each, modality=modality, rate=rate, encoder=encoder, convert=convert, error=error
            )

        if argument == "input_ids":
            if self.processors.tokenizer is None:
                return [column("text", value, "not_decoded")]
            if rows == count and (not self._is_dual or self._paired(count, value)):
                return [column("text", value, convert=self.processors.text)]
            rows = None
            return [column("text", value, convert=lambda ids: ", ".join(map(self.processors.text, ids)))]
        if argument == "input_features":  # a spectrogram: its sound is not to be had back
            return [column("audio", value, "features_only")]
        if argument != "pixel_values":
            return [column(spec.name, value)]
        if rows == count:
            return [column("image", value, convert=self._pixels)]
        if count == 1 and rows is not None and len(value.shape) == 4:
            names = ["image", *(f"image-{number}" for number in range(2, _MOST_IMAGES + 1))]
            return [
                Column(name, value[index], each=False, modality=modality, encoder=encoder, convert=self._pixels)
                for index, name in enumerate(names[:rows])
            ]
        return [column("image", value, "not_by_row")]

    def _pixels(self, row: Any) -> Any:
        """Pixels from 0 to 1, where the processor says how they were normalised."""
        while row.ndim > 3 and len(row) == 1:
            row = row[0]
        return row if self.processors.pixel_scale is None else unscaled(row, *self.processors.pixel_scale)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, flight: Flight, result: Any, inputs: Mapping[str, Any]) -> Answers:
        """Of a forward call: a class, scores of candidates, embeddings; or what the deployment says of the result."""
        answer = self.site.answer
        told = answer.extract is not None or answer.output is not None or answer.scores is not None
        found = self.reader.read(flight, result) if told else self._read_by_class(flight, result, inputs)
        seen = found.setdefault("inputs", {})
        for field, name in EMBEDDINGS.items():
            if name == "text" and not self._paired(flight.count, inputs.get("input_ids")):
                continue
            taken = self._embedding(flight, getattr(result, field, None))
            if taken is not None:
                seen.setdefault(name, {}).setdefault("embedding", taken)
        return found

    def _embedding(self, flight: Flight, value: Any) -> Any:
        """Rows of an embedding that belong to rows of the call."""
        rows = length(value) if is_array(value) and len(value.shape) == 2 else None
        return take(value, flight.rows) if rows == flight.count else None

    def _read_by_class(self, flight: Flight, result: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if flight.taps:
            found = {"inputs": self.reader.seen(flight)}
        logits: Any = getattr(result, "logits", None)
        config = self.model.config
        if type(self.model).__name__.endswith(CLASSIFIERS) and is_array(logits) and len(logits.shape) == 2:
            if logits.shape[1] == 1:
                return {**found, "value": Lazy(_number(take(logits, flight.rows)))}
            several = getattr(config, "problem_type", None) == "multi_label_classification"
            scores = Lazy(_probabilities(take(logits, flight.rows), several))
            names = {int(index): name for index, name in (getattr(config, "id2label", None) or {}).items()}
            classes = [names.get(index, str(index)) for index in range(logits.shape[1])]
            return {**found, **Reader(self.site.answer, classes=classes).labels(scores)}
        return {**found, **self._candidates(flight, result, inputs)}

    def _candidates(self, flight: Flight, result: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Of a dual encoder that was asked which text fits: the text, with the softmax over all of them."""
        logits = next((getattr(result, name, None) for name in ("logits_per_image", "logits_per_audio")), None)
        texts = inputs.get("input_ids")
        if not is_array(logits) or length(logits) != flight.count or self._paired(flight.count, texts):
            return {}
        scores = Lazy(_probabilities(take(logits, flight.rows), False))
        tokens = take(texts, None)

        def label(position: int) -> Any:
            best = int(scores.at(position).argmax())
            return str(best) if self.processors.tokenizer is None else self.processors.text(tokens.at(0)[best])

        return {"label": Lazy(label), "scores": scores}

    def _paired(self, count: int, texts: Any) -> bool:
        said = self.site.options.get("paired")
        return length(texts) == count if said is None else bool(said)

    def _features(self, role: str) -> Callable[[Flight, Any, Mapping[str, Any]], Answers]:
        def answer(flight: Flight, result: Any, inputs: Mapping[str, Any]) -> Answers:
            taken = self._embedding(flight, result if is_array(result) else getattr(result, "pooler_output", None))
            return {} if taken is None else {"inputs": {role: {"embedding": taken}}}

        return answer

    # -- generation ---------------------------------------------------------------------------------------------------

    def _generate(self) -> Enter:
        binder = Binder(self.model.generate)

        def enter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session:
            inputs = dict(binder.bind(args, kwargs))
            first = inputs.pop("inputs", None)  # the positional name of whatever the model's main input is
            if first is not None:
                inputs.setdefault(getattr(self.model, "main_input_name", "input_ids"), first)
            count = self.generation.count(kwargs, inputs)
            flight = begin(self.site, count, lambda: self.columns(inputs, count), args, kwargs)
            return _Generating(self, args, kwargs, flight, inputs)

        return enter

    def _first_token(self, module: Any, args: Any, result: Any) -> None:
        flight = self.generating.described
        if flight is not None and flight.first_s is None:
            flight.first_s = flight.elapsed


class _Generating(Session):
    """A call of `generate`: the model's first forward pass in it gives the first token."""

    def __init__(
        self, watching: ModelWatching, args: tuple[Any, ...], kwargs: dict[str, Any], flight: Flight | None, inputs: Any
    ) -> None:
        def read(flight: Flight, result: Any) -> Answers:
            if watching.site.answer.extract is not None:
                return watching.reader.read(flight, result)
            found: dict[str, Any] = dict(watching.generation.read(flight, result, inputs))
            if flight.taps:
                found["inputs"] = watching.reader.seen(flight)
            return found

        super().__init__(args, kwargs, flight, read)
        self._watching = watching
        watching.generating.entry = Entry(flight, None)

    def leave(self, result: Any, error: BaseException | None) -> Any:
        self._watching.generating.entry = None
        return super().leave(result, error)


def _number(taken: Any) -> Callable[[int], float]:
    return lambda position: float(taken.at(position).reshape(-1)[0])


def _probabilities(taken: Any, several: bool) -> Callable[[int], Any]:
    """Of logits: softmax, or the logistic function where classes do not exclude each other."""

    def at(position: int) -> Any:
        import numpy

        logits = taken.at(position).astype(numpy.float64).reshape(-1)
        if several:
            return 1.0 / (1.0 + numpy.exp(-numpy.clip(logits, -500.0, 500.0)))
        powers = numpy.exp(logits - logits.max())
        return powers / powers.sum()

    return at
