"""Encoders that a deployment names for inputs whose model yields no embedding; one file each, one library each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor import registry

if TYPE_CHECKING:
    from auditor.ports import Encoder


def is_named(text: str) -> bool:
    """Whether `text` is `SCHEME:NAME` with a scheme that there is; nothing is imported.

    >>> is_named("onnx:encoder.onnx"), is_named("onnx:"), is_named("magic:x")
    (True, False, False)
    """
    scheme, _, name = text.partition(":")
    return bool(name) and scheme in registry.names("encoders")


def open_encoder(text: str) -> Encoder:
    """The encoder of that name, loaded; PluginError `library_missing`, or `encoder_unusable` when it does not load."""
    scheme, _, name = text.partition(":")
    opened: Encoder = registry.load("encoders", scheme).open(name)
    return opened


def ways() -> str:
    """How encoders are named, for errors."""
    return ", ".join(f"{scheme}:NAME" for scheme in registry.names("encoders"))
