"""What a Hugging Face processor knows that turns tensors back into what a person saw: words, pixels, a sampling rate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any


class Processors:
    """The parts of a processor, of a pipeline, or of a list of parts.

    The tokenizer is a copy: the fast tokenizers refuse to be used by two threads at once, and the one that would be
    refused may be the host's.

    Attributes
    ----------
    tokenizer : object or None
    pixel_scale : tuple or None
        (mean, std) of each channel, when images are normalised.
    rate : float or None
        Samples per second, Hz.
    """

    def __init__(self, *sources: Any) -> None:
        parts = [part for source in sources for part in _parts(source)]
        tokenizer: Any = next((part for part in parts if hasattr(part, "convert_ids_to_tokens")), None)
        self.tokenizer: Any = copy.deepcopy(tokenizer)
        self.pixel_scale = next(filter(None, map(_pixel_scale, parts)), None)
        rates = (getattr(part, "sampling_rate", None) for part in parts)
        self.rate: float | None = next((float(rate) for rate in rates if rate), None)

    def text(self, ids: Any) -> str:
        """The words of token ids, without special tokens."""
        return str(self.tokenizer.decode(list(map(int, ids)), skip_special_tokens=True)).strip()


def _parts(source: Any) -> list[Any]:
    if source is None:
        return []
    if isinstance(source, (list, tuple)):
        return [part for entry in source for part in _parts(entry)]
    names = ("tokenizer", "image_processor", "feature_extractor", "video_processor")
    return [source, *(part for name in names if (part := getattr(source, name, None)) is not None)]


def _pixel_scale(part: Any) -> tuple[Sequence[float], Sequence[float]] | None:
    if not getattr(part, "do_normalize", False):
        return None
    mean, std = getattr(part, "image_mean", None), getattr(part, "image_std", None)
    return None if mean is None or std is None else (mean, std)


def model_name(model: Any) -> str:
    """How a model is called: its class, and the last part of where it was loaded from (no folder of this machine).

    >>> model_name(object())
    'object'
    """
    path = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "")
    last = path.replace("\\\\", "/").rstrip("/").rpartition("/")[2]
    return f"{type(model).__name__}/{last}" if last else type(model).__name__
