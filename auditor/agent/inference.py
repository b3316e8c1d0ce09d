"""The explicit form: `with agent.inference() as record: ...`."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any

from auditor.agent.call import Call
from auditor.agent.shield import Faults, nothing, sheltered
from auditor.agent.site import OFF, Site, add_input
from auditor.agent.snapshot import freeze


class Inference:
    """One inference, filled by the host between `with` and its end. No method ever raises an Exception.

    Attributes
    ----------
    id : str
        For `agent.label(record.id, ...)`, whether or not the call is described.
    """

    __slots__ = ("_began", "_call", "_found", "_groups", "_over", "_site", "id")

    def __init__(self, site: Site, identifier: str) -> None:
        self.id = identifier
        self._site = site
        self._call: Any = OFF
        self._began = 0.0
        self._found: dict[str, Any] = {}
        self._groups: dict[str, Any] = {}
        self._over = False

    @property
    def faults(self) -> Faults:
        return self._site.recorder.faults

    @sheltered("begin_failed", lambda self: self.given_up())
    def __enter__(self) -> Inference:
        self._call = self._site.begin_as(self.id)
        self._began = perf_counter()
        return self

    @sheltered("finish_failed", lambda self, *error: self.given_up() and None)
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call = self._call
        if call is OFF and self._over:
            return
        if type(call) is Call:
            call.found = self._found
            if self._groups:
                call.groups = {**(call.groups or {}), **self._groups}
        self._over, self._call = True, OFF
        self._site.finish(call, self._began, None, error)

    def given_up(self) -> Inference:
        """The agent failed: the call counts, without its record."""
        if not self._over:
            self._site.recorder.fail()
        self._over, self._call = True, OFF
        return self

    @sheltered("input_failed", nothing)
    def input(
        self,
        name: str,
        value: Any,
        modality: str | None = None,
        rate: float | None = None,
        scores: Any = None,
        embedding: Any = None,
        encoder: str | None = None,
    ) -> None:
        """One input; `None` says that the model was called without it.

        Parameters
        ----------
        name : str
        value : object
            str, image (PIL or uint8 HxW[xC]) and dict need no `modality`; the value is copied, then described.
        modality : str, optional
            text, image, audio, video, tabular, series, point_cloud or embedding.
        rate : float, optional
            Samples (frames) per second, Hz: for audio, series and video arrays.
        scores, embedding : sequence of float, optional
            What the model's own head or encoder made of this input; `encoder` names it.
        """
        call = self._call
        if type(call) is not Call:
            return
        add_input(call, str(name), value, modality, rate, scores, embedding, encoder)

    @sheltered("output_failed", nothing)
    def output(
        self,
        label: Any = None,
        *,
        value: Any = None,
        text: str | None = None,
        scores: Any = None,
        tokens: Mapping[str, int] | None = None,
        finish: str | None = None,
        refused: bool | None = None,
    ) -> None:
        """The answer: a class (`label`), a number (`value`) or a generated text (described, never kept raw)."""
        if type(self._call) is not Call:
            return
        said = {
            "label": label,
            "value": value,
            "text": text,
            "scores": scores,
            "tokens": tokens,
            "finish": finish,
            "refused": refused,
        }
        self._found.update({name: freeze(part)[0] for name, part in said.items() if part is not None})

    @sheltered("group_failed", nothing)
    def group(self, **features: Any) -> None:
        """Slices that this call belongs to (`site="north"`); None is the slice `unknown`."""
        self._groups.update(features)

    @sheltered("sensitive_failed", nothing)
    def sensitive(self, **features: Any) -> None:
        """Sensitive features. There is no vault yet: they are dropped here, and counted."""
        self._site.recorder.notes.extend(["sensitive_no_vault"] * len(features))

    @sheltered("subject_failed", nothing)
    def subject(self, identifier: str | None) -> None:
        """An opaque name of the person or thing the call was about."""
        call = self._call
        if type(call) is Call:
            call.subject = identifier


class Inert(Inference):
    """Stands in when the agent itself failed: takes everything, keeps nothing, counts one call."""

    def __enter__(self) -> Inference:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._site.recorder.fail()
