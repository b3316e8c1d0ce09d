"""What `generate` gave: new tokens, their number, why they end, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from auditor.adapters.neural.processors import Processors
from auditor.adapters.rows import Flight
from auditor.adapters.tensors import Lazy, is_array, length, take


class Generation:
    """Reads the sequences of one model.

    Parameters
    ----------
    config : object
        The model's generation config.
    """

    def __init__(self, model: Any, processors: Processors) -> None:
        sources = (getattr(model, "generation_config", None), model.config, getattr(model.config, "text_config", None))
        self.pad = _first(sources, "pad_token_id")
        self.encodes = bool(getattr(model.config, "is_encoder_decoder", False))
        ends = _first(sources, "eos_token_id", "sep_token_id")
        self.ends = frozenset(ends if isinstance(ends, (list, tuple)) else [] if ends is None else [ends])
        begins = _first(sources, *(("decoder_start_token_id",) if self.encodes else ()), "bos_token_id")
        self.begins = frozenset([begins]) - ({None} if self.encodes else {None, *self.ends})
        self.processors = processors

    def count(self, kwargs: Mapping[str, Any], inputs: Mapping[str, Any]) -> int:
        """Prompts of a call."""
        for name in ("input_ids", "inputs_embeds", "input_features", "input_values", "pixel_values"):
            found = length(inputs.get(name))
            if found is not None:
                return found
        return 1

    def read(self, flight: Flight, result: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """text, tokens and finish of each prompt's first sequence; prompts with several answers are told by the first."""
        sequences = _sequences(result)
        if sequences is None:
            return {}
        given = inputs.get("input_ids")
        each = (length(sequences) or flight.count) // flight.count or 1
        prompts = take(given, flight.rows) if length(given) == flight.count else None
        mask = inputs.get("attention_mask")
        masks = take(mask, flight.rows) if prompts is not None and length(mask) == flight.count else None
        answers = take(sequences, [row * each for row in flight.rows])
        ends = self._ends(inputs)
        stopped_otherwise = any(inputs.get(name) for name in ("stopping_criteria", "stop_strings"))

        def new(position: int) -> list[int]:
            tokens = [int(token) for token in answers.at(position)]
            if prompts is not None and not self.encodes:
                prompt = [int(token) for token in prompts.at(position)]
                if tokens[: len(prompt)] == prompt:
                    tokens = tokens[len(prompt) :]
            return self._to_the_end(tokens, ends)

        def counted(position: int) -> dict[str, int]:
            found = {"output": len(new(position))}
            if masks is not None:
                found["input"] = int(masks.at(position).sum())
            elif prompts is not None:
                found["input"] = sum(int(token) != self.pad for token in prompts.at(position))
            return found

        def finish(position: int) -> str | None:
            tokens = new(position)
            if tokens and tokens[-1] in ends:
                return "stop"
            return None if stopped_otherwise else "length"

        found = {"tokens": Lazy(counted), "finish": Lazy(finish)}
        if self.processors.tokenizer is not None:
            found["text"] = Lazy(lambda position: self.processors.text(new(position)))
        return found

    def _ends(self, inputs: Mapping[str, Any]) -> frozenset[int]:
        """Tokens that end an answer: the call's own, else the model's."""
        said = inputs.get("eos_token_id")
        if said is None:
            said = getattr(inputs.get("generation_config"), "eos_token_id", None)
        if said is None:
            return self.ends
        return frozenset(said if isinstance(said, (list, tuple)) else [int(said)])

    def _to_the_end(self, tokens: list[int], ends: frozenset[int]) -> list[int]:
        """Tokens up to their end, which counts; the token that starts a decoder, and padding, do not."""
        if tokens and tokens[0] in self.begins:
            tokens = tokens[1:]
        for index, token in enumerate(tokens):
            if token in ends:
                return tokens[: index + 1]
        return [token for token in tokens if token != self.pad]


def _first(sources: Iterable[Any], *names: str) -> Any:
    """The first of these settings that one of the configurations has."""
    for name in names:
        for source in sources:
            found = getattr(source, name, None)
            if found is not None:
                return found
    return None


def _sequences(result: Any) -> Any:
    """The token ids in what `generate` returned."""
    if is_array(result):
        return result
    if isinstance(result, Mapping):
        return result.get("sequences")
    return getattr(result, "sequences", None)
