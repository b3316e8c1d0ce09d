"""Embeddings by a model of the Hugging Face libraries, from a folder or from what was downloaded before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from auditor.core.errors import DescribeError, PluginError
from auditor.encoders._reading import identity, is_picture, picture_of, pooled

_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_LONGEST = 512
"""Tokens of a text whose tokenizer states no bound of its own."""


class Transformers:
    """`transformers:NAME_OR_FOLDER`: texts and pictures through a model's own tokenizer and image processor.

    A model with one space for both (CLIP and its like) answers with its projected features, any other with its last hidden states,
    averaged over tokens without padding. Nothing is downloaded, and no code that comes with a model is run.
    """

    version = "1"
    requires = ("transformers", "torch")

    def open(self, name: str) -> TransformersEncoder:
        """The encoder in a folder, or of that name in the cache; PluginError `encoder_unusable` when it does not load."""
        return TransformersEncoder(name)


class TransformersEncoder:
    """One model, on the CPU.

    Attributes
    ----------
    version : str
        `transformers:NAME@digest`; of a folder its own name.
    threads : int
        CPU threads that it works with: those of PyTorch in this process.
    """

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModel, AutoProcessor

        try:
            folder = _folder_of(name)
            files = sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)})
            self.version = identity("transformers", folder.name if Path(name).is_dir() else name, files)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
        except Exception as error:  # not there, not complete, an architecture that this version does not know
            raise PluginError(
                "encoder_unusable",
                f"{Path(name).name} does not load ({type(error).__name__})",
                where="encoders",
                fix="give the folder of save_pretrained, or the name of a model that was downloaded",
            ) from error
        self._torch = torch
        self.threads = torch.get_num_threads()
        self._pictures = getattr(processor, "image_processor", None)
        self._tokenizer = getattr(processor, "tokenizer", None)
        if hasattr(processor, "tokenize"):
            self._tokenizer = processor
        elif self._pictures is None and self._tokenizer is None:
            self._pictures = processor

    def encode(self, value: Any) -> list[float]:
        """The embedding, shape (k,); DescribeError for what the model has no processor for."""
        if isinstance(value, str) and self._tokenizer is not None:
            longest = min(self._tokenizer.model_max_length, _LONGEST)
            batch = self._tokenizer(value, return_tensors="pt", truncation=True, max_length=longest)
            return self._run(batch, "get_text_features")
        if self._pictures is not None and not isinstance(value, str) and is_picture(value):
            batch = self._pictures(images=picture_of(value).convert("RGB"), return_tensors="pt")
            return self._run(batch, "get_image_features")
        raise DescribeError("wrong_type", f"the model takes no {type(value).__name__}", fix="give a text or a picture")

    def _run(self, batch: Any, projected: str) -> list[float]:
        with self._torch.inference_mode():
            features = getattr(self._model, projected, None)
            if features is not None:
                found = features(**batch)
                found = getattr(found, "pooler_output", found)
                return pooled(found.float().numpy())
            states = self._model(**batch).last_hidden_state.float().numpy()
        if states.ndim == 4:  # convolutions: (1, channels, height, width)
            return pooled(states.reshape(*states.shape[:2], -1).swapaxes(1, 2))
        mask = batch.get("attention_mask")
        return pooled(states, mask if mask is not None and mask.shape == states.shape[:2] else None)


def _folder_of(name: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, local_files_only=True))


PLUGIN = Transformers()
