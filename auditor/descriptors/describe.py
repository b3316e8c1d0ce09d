"""The verb `describe`: a payload becomes a core `Input`; the payload itself goes no further.

A payload that cannot be described never raises: the input says why (`error`), and the record stays a record.

| error | meaning |
|---|---|
| `modality_unknown` | nobody said what it is and its type does not tell |
| `extra_missing` | the library that reads this modality is not installed here |
| `no_descriptor` | no plugin is called like the modality |
| `bad_vector` | an embedding or scores that are not a list of finite numbers |
| `describe_failed` | the descriptor plugin broke (a fault of the plugin, not of the payload) |
| `encode_failed` | the encoder that the deployment named broke; `encoder_unusable`: it does not load |
| any other | what the descriptor said: `decode_failed`, `too_large`, ... |
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.core.errors import DescribeError, PluginError
from auditor.core.record import Input, Scalar, TextOutput

if TYPE_CHECKING:
    from auditor.ports import Descriptor, Encoder

FALLBACK_MODALITY = "tabular"
"""Stands beside the error `modality_unknown`, because a record must name one."""


@dataclass(slots=True, kw_only=True)
class Payload:
    """One input of one call, before it is described.

    Attributes
    ----------
    value : object
        None: the model was called without it.
    modality : str or None
        None: inferred from the value.
    rate : float or None
        Samples (frames) per second, Hz; audio, series and video arrays need it.
    scores, embedding : sequence of float, shape (n,), or None
        What the model itself made of this input; `encoder` names what made the embedding.
    error : str or None
        Why the value is not here although the model had one (`too_large`, ...).
    """

    name: str
    value: Any = None
    modality: str | None = None
    rate: float | None = None
    scores: Any = None
    embedding: Any = None
    encoder: str | None = None
    error: str | None = None


def infer_modality(value: Any) -> str | None:
    """What a value is when nobody said so: str is text, PIL or uint8 HxW[xC] an image, a mapping tabular; else None.

    >>> infer_modality("two lines"), infer_modality({"age": 41}), infer_modality(3.5)
    ('text', 'tabular', None)
    """
    kind = type(value)
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, Mapping):
        return "tabular"
    for base in kind.__mro__:
        if base.__module__.startswith("PIL.") and base.__name__ == "Image":
            return "image"
        if base.__module__ == "numpy" and base.__name__ == "ndarray":
            flat = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
            return "image" if flat and value.dtype.str == "|u1" else None
    return None


def describe_input(
    payload: Payload,
    descriptors: Mapping[str, Descriptor],
    *,
    salt: bytes | None = None,
    encoder: Encoder | None = None,
) -> Input:
    """What may leave the process about one payload.

    Parameters
    ----------
    payload : Payload
    descriptors : mapping of str to Descriptor
        By modality. Asking it may raise PluginError (`library_missing`).
    salt : bytes, optional
        When given, the input carries `commitment`: `sha256:` + SHA-256 of the salt and the payload's bytes, so that
        equal payloads are seen as equal and none can be looked up in a dictionary without the salt.
    encoder : Encoder, optional
        Makes the embedding of a payload that was described and came without one.

    Returns
    -------
    Input
        Numbers are finite; what cannot be computed is None; faults are in `error`.

    >>> describe_input(Payload(name="note"), {}).error
    'modality_unknown'
    >>> describe_input(Payload(name="note", modality="text"), {}).missing
    True
    """
    modality = payload.modality or infer_modality(payload.value)
    if modality is None:
        return Input(name=payload.name, modality=FALLBACK_MODALITY, error=payload.error or "modality_unknown")
    if payload.value is None and payload.error is None:
        return Input(name=payload.name, modality=modality, missing=True)
    figures, describer, error = _figures(payload, modality, descriptors)
    if error == "modality_unknown":
        modality = FALLBACK_MODALITY
    given, named = payload.embedding, payload.encoder
    if given is None and modality == "embedding":
        given = payload.value
    elif given is None and encoder is not None and error is None:
        given, error = _encoded(payload.value, modality, encoder)
        named = encoder.version
    embedding, bad_embedding = _vector(given)
    scores, bad_scores = _vector(payload.scores)
    return Input(
        name=payload.name,
        modality=modality,
        error=error or ("bad_vector" if bad_embedding or bad_scores else None),
        descriptors=figures,
        embedding=embedding,
        encoder=named if embedding is not None else None,
        scores=scores,
        commitment=None if salt is None or payload.value is None else commitment(payload.value, salt),
        describer=describer,
    )


def describe_text(text: str, descriptors: Mapping[str, Descriptor]) -> TextOutput:
    """A generated text as its figures; without a text descriptor, as nothing but its having been there."""
    figures, _, _ = _figures(Payload(name="output", value=text), "text", descriptors)
    return TextOutput(descriptors=figures)


def commitment(value: Any, salt: bytes) -> str | None:
    """`sha256:` + hex of SHA-256(salt, canonical bytes of the value); None for what has no canonical bytes.

    >>> commitment("a", b"s") == commitment("a", b"s") != commitment("b", b"s")
    True
    """
    digest = hashlib.sha256(salt)
    return f"sha256:{digest.hexdigest()}" if _feed(digest, value) else None


def _feed(digest: Any, value: Any) -> bool:
    """Hash a value with its type, so that the text "1" and the bytes "1" differ."""
    if type(value) is dict:  # rows, mostly
        return _feed_json(digest, value)
    if isinstance(value, str):
        digest.update(b"text\0" + value.encode("utf-8", "surrogatepass"))
        return True
    if isinstance(value, (bytes, bytearray)):
        digest.update(b"bytes\0")
        digest.update(value)
        return True
    array = getattr(value, "__array_interface__", None)
    if isinstance(array, dict) and hasattr(value, "tobytes"):
        if "O" in str(array.get("typestr", "O")):
            return False
        digest.update(f"array\0{array['typestr']}{array['shape']}".encode())
        digest.update(value.tobytes())
        return True
    if isinstance(value, Mapping):
        return _feed_json(digest, dict(value))
    return _feed_json(digest, value) if isinstance(value, (list, tuple, int, float)) else False


def _feed_json(digest: Any, value: Any) -> bool:
    try:
        digest.update(b"json\0" + _sorted_json(value).encode())
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _plain(value: Any) -> Any:
    """Scalars and arrays of numpy inside a mapping, for canonical JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _json_writer() -> Callable[[Any], str]:
    """`json.dumps(value, sort_keys=True, default=_plain)`, with the interpreter's C encoder made once, not once a value."""
    make = getattr(json.encoder, "c_make_encoder", None)
    text = getattr(json.encoder, "c_encode_basestring_ascii", None)
    if make is None or text is None:
        return json.JSONEncoder(sort_keys=True, default=_plain).encode
    encode = make(None, _plain, text, None, ": ", ", ", True, False, True)
    return lambda value: "".join(encode(value, 0))


_sorted_json = _json_writer()


def _figures(
    payload: Payload, modality: str, descriptors: Mapping[str, Descriptor]
) -> tuple[dict[str, Scalar], str | None, str | None]:
    """(descriptor columns, describer, error)."""
    if payload.error is not None:
        return {}, None, payload.error
    try:
        plugin = descriptors[modality]
    except KeyError:
        return {}, None, "no_descriptor"
    except PluginError as error:
        codes = {"library_missing": "extra_missing", "unknown_plugin": "modality_unknown"}
        return {}, None, codes.get(error.code, "no_descriptor")
    describer = f"{modality}/{plugin.version}"
    try:
        found = plugin.describe(payload.value, rate=payload.rate)
        figures = {
            column if type(column) is str else str(column): (
                value if type(value) is str or (type(value) is float and isfinite(value)) else _scalar(value)
            )
            for column, value in found.items()
        }
        return figures, describer, None
    except DescribeError as error:
        return {}, describer, error.code
    except Exception:
        return {}, describer, "describe_failed"


def _encoded(value: Any, modality: str, encoder: Encoder) -> tuple[Any, str | None]:
    """(embedding, error); the path of a file is given as a Path, so that it is not taken for a text."""
    try:
        return encoder.encode(Path(value) if isinstance(value, str) and modality != "text" else value), None
    except DescribeError as error:
        return None, error.code
    except Exception:
        return None, "encode_failed"


def _scalar(value: Any) -> Scalar:
    """A finite float, a string, or None."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _vector(value: Any) -> tuple[tuple[float, ...] | None, bool]:
    """(finite numbers or None, whether something was given that is not a vector); leading axes of length 1 are dropped."""
    if value is None:
        return None, False
    try:
        plain = value.tolist() if hasattr(value, "tolist") else value
        while type(plain) in (list, tuple) and len(plain) == 1 and type(plain[0]) in (list, tuple):
            plain = plain[0]
        numbers = tuple(float(number) for number in plain)
    except (TypeError, ValueError, OverflowError):
        return None, True
    if not numbers or not all(map(math.isfinite, numbers)):
        return None, True
    return numbers, False
