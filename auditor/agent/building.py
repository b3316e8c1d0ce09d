"""A finished call becomes the frame of its record: described, redacted, committed to. Worker thread only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from auditor.agent import lifecycle
from auditor.agent.call import Call
from auditor.agent.wire import Wire
from auditor.core.errors import PluginError
from auditor.core.gate import over_limit
from auditor.core.record import Input, Output, Record, TextOutput
from auditor.descriptors.describe import Payload, describe_input, describe_text, infer_modality

if TYPE_CHECKING:
    from auditor.ports import Descriptor, Encoder

_LONGEST_LABEL = 200
Redact = Callable[[str, str | None, Any], Any]


class RedactionError(Exception):
    """The deployment's own redaction failed: the record must not leave."""


class Describers(Mapping[str, "Descriptor"]):
    """Descriptor plugins by modality, loaded when a process first asks for them."""

    _found: ClassVar[dict[str, Descriptor | PluginError]] = {}

    def __getitem__(self, modality: str) -> Descriptor:
        if modality not in self._found:
            self._found[modality] = _load(modality)
        plugin = self._found[modality]
        if isinstance(plugin, PluginError):
            raise plugin
        return plugin

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _load(modality: str) -> Descriptor | PluginError:
    try:
        with lifecycle.loading():
            from auditor import registry

            plugin: Descriptor = registry.load("descriptors", modality)
    except PluginError as error:
        return error
    return plugin


class Builder:
    """Turns calls into record frames.

    Parameters
    ----------
    redact : callable, optional
        `redact(name, modality, value) -> value`: applied to every payload and to a generated text before anything is
        computed from it; None withholds the payload.
    salt : bytes
        Of the commitments.
    note : callable
        Called with the name of each thing worth counting that is not a loss.
    encoders : mapping of str to Encoder, optional
        By input: makes the embeddings that the model does not.
    check : callable, optional
        Whether a generated text is what its caller needs: kept as its column `valid`.
    """

    def __init__(
        self,
        session: str,
        fork: int,
        salt: bytes,
        describers: Mapping[str, Descriptor],
        redact: Redact | None,
        note: Callable[[str], None],
        encoders: Mapping[str, Encoder] | None = None,
        check: Callable[[str], Any] | None = None,
    ) -> None:
        self.salt = salt
        self.describers = describers
        self.redact = redact
        self.note = note
        self.encoders = encoders or {}
        self.check = check
        self._wire = Wire(session, fork)
        self._modalities: dict[str, str] = {}

    def build(self, call: Call, seq: int) -> bytes:
        """The record's frame; RedactionError when it must not leave, RecordError when the intake would refuse it."""
        found = call.found or {}
        groups = call.groups
        record: dict[str, Any] = {
            "id": call.id[:64],
            "model": call.site.ref,
            "inputs": tuple(self._inputs(call.payloads, found.get("inputs"))),
            "output": self._output(call, found),
            "groups": {str(name): label_text(value) for name, value in groups.items()} if groups else {},
            "subject": None if call.subject is None else str(call.subject),
            "sampling": call.rate,
            "latency_s": call.latency_s,
            "first_token_s": call.first_token_s,
        }
        refused = over_limit(Record, record)
        if refused is not None:
            raise refused
        return self._wire.record(us=call.us, seq=seq, **record)

    def _inputs(self, payloads: Iterable[tuple[Any, ...]], said: Any) -> Iterable[Input]:
        extras = dict(said) if said is not None and isinstance(said, Mapping) else {}
        described: dict[str, Input] = {}
        for name, value, modality, rate, scores, embedding, encoder, error in payloads:
            extra = extras.pop(name, None) or {}
            modality = modality or infer_modality(value) or (self._modalities.get(name) if value is None else None)
            if modality is not None:
                self._modalities[name] = modality
            elif value is None and error is None:  # never seen with a value: nothing yet that could be missing
                self.note("missing_unknown")
                continue
            elif error is None:
                self.note("modality_unknown")
            kept = self._redacted(name, modality, value)
            payload = Payload(
                name=name,
                value=kept,
                modality=modality,
                rate=rate,
                scores=extra.get("scores", scores),
                embedding=extra.get("embedding", embedding),
                encoder=extra.get("encoder", encoder),
                error="withheld" if kept is None and value is not None else error,
            )
            encoder = self.encoders.get(name) if self.encoders else None
            described[name] = describe_input(payload, self.describers, salt=self.salt, encoder=encoder)
        for name, extra in extras.items():  # what the model says of inputs that nobody declared
            described[name] = describe_input(
                Payload(
                    name=name,
                    value=extra.get("embedding"),
                    modality="embedding",
                    scores=extra.get("scores"),
                    encoder=extra.get("encoder"),
                ),
                self.describers,
                salt=self.salt,
            )
        return described.values()

    def _output(self, call: Call, found: Mapping[str, Any]) -> Output | None:
        finish = found.get("finish", call.finish)
        if call.error is not None:
            return Output(error=call.error, finish=finish)
        if finish is None and not found.keys() & {"label", "value", "text", "scores", "tokens", "refused"}:
            return None
        text = self._redacted("output", "text", found.get("text"))
        return Output(
            label=self._label(found.get("label")),
            value=number(found.get("value")),
            text=self._text(text) if isinstance(text, str) else None,
            scores=vector(found.get("scores")),
            tokens=_tokens(found.get("tokens")),
            finish=None if finish is None else str(finish)[:_LONGEST_LABEL],
            refused=None if found.get("refused") is None else bool(found["refused"]),
        )

    def _text(self, text: str) -> TextOutput:
        described = describe_text(text, self.describers)
        if self.check is None:
            return described
        try:
            valid = "true" if self.check(text) else "false"
        except Exception:  # the deployment's own check: its failure says nothing about the answer
            self.note("answer_check_failed")
            return described
        return replace(described, descriptors={**described.descriptors, "valid": valid})

    def _label(self, value: Any) -> str | None:
        """A class name; one that is as long as a text is taken for a text by mistake and kept back."""
        label = label_text(value)
        if label is not None and len(label) > _LONGEST_LABEL:
            self.note("label_too_long")
            return None
        return label

    def _redacted(self, name: str, modality: str | None, value: Any) -> Any:
        if self.redact is None or value is None:
            return value
        try:
            return self.redact(name, modality, value)
        except Exception as error:
            raise RedactionError(name) from error


def label_text(value: Any) -> str | None:
    """A class or a group as text: 7 and 7.0 and "7" are one; true and false keep their words; None stays None.

    >>> label_text(7.0), label_text(True), label_text("cat"), label_text(None)
    ('7', 'true', 'cat', None)
    """
    if value is None:
        return None
    plain = value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else value
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, float):
        if not math.isfinite(plain):
            return None
        return str(int(plain)) if plain.is_integer() else repr(plain)
    return str(plain)


def number(value: Any) -> float | None:
    """A finite float, or None."""
    if value is None:
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def vector(value: Any) -> tuple[float, ...] | None:
    """Finite floats, or None when it is empty or holds anything else."""
    if value is None:
        return None
    plain = value.tolist() if hasattr(value, "tolist") else value
    while isinstance(plain, (list, tuple)) and len(plain) == 1 and isinstance(plain[0], (list, tuple)):
        plain = plain[0]
    if isinstance(plain, (int, float)):
        plain = (plain,)
    numbers = tuple(float(entry) for entry in plain)
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def _tokens(value: Any) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    counted = {key: int(value[key]) for key in ("input", "output") if value.get(key) is not None}
    return counted or None
