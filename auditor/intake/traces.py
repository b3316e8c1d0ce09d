"""One call, one record: spans of one trace that describe the same call are settled, in whatever order they arrive.

A framework and the client that it calls are often both instrumented, and so one call has two spans: nested, or side by
side with one response id; often only one of them carries contents. Of related spans the one with contents is kept, of
equals the one nearest to the model. A span that arrives later and is the better one supersedes the record that was
made before; the superseded record is withdrawn at the drain. A span around several calls is none itself.

The book is kept in memory and bounded: spans of one trace that arrive far apart, or around a restart, may leave two
records.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from auditor.intake.otlp import Span

MAX_TRACES = 4096
"""Traces that are remembered, the newest."""
MAX_SPANS = 2048
"""Spans of one trace that are remembered."""
_STEPS = 64
FAMILIES = {"embeddings": "embeddings", "retrieval": "retrieval", "image_generation": "image", "speech": "speech"}
"""Operations that are never the same call as one of another family; all that are not listed generate text."""


@dataclass(frozen=True, slots=True)
class CallSpan:
    """One call as its span describes it.

    Attributes
    ----------
    record : str
        The id of its record.
    model : str
        The name of its record's model.
    family : str
        What kind of operation it is; calls of different families are never one.
    response : str or None
        The id that the provider gave the response.
    captured : bool
        Whether it carries contents.
    start_ns, end_ns : int
        Nanoseconds since 1970.
    """

    record: str
    id: str
    model: str
    family: str
    response: str | None
    captured: bool
    start_ns: int = 0
    end_ns: int = 0

    def beside(self, other: CallSpan) -> bool:
        """Whether both have one response id and overlap in time: two calls never do, whatever ids a provider gives."""
        same = self.response is not None and self.response == other.response
        return same and self.start_ns <= other.end_ns and other.start_ns <= self.end_ns


@dataclass(slots=True)
class _Trace:
    parents: dict[str, str] = field(default_factory=dict)
    standing: dict[str, CallSpan] = field(default_factory=dict)

    def above(self, identifier: str) -> Iterator[str]:
        """The ids of the spans around one, from the inside out, as far as they are known."""
        for _ in range(_STEPS):
            identifier = self.parents.get(identifier, "")
            if not identifier:
                return
            yield identifier


class TraceBook:
    """Which calls of which traces have a record."""

    def __init__(self, most: int = MAX_TRACES) -> None:
        self._most = most
        self._traces: OrderedDict[str, _Trace] = OrderedDict()

    def note(self, spans: Sequence[Span]) -> None:
        """Remember which span is inside which; spans that are no calls connect those that are."""
        for span in spans:
            trace = self._trace(span.trace)
            if span.parent and len(trace.parents) < MAX_SPANS:
                trace.parents[span.id] = span.parent

    def settle(self, trace_id: str, call: CallSpan) -> Sequence[CallSpan] | None:
        """The calls whose records this one supersedes, most often none; None when it is no record of its own."""
        trace = self._trace(trace_id)
        if call.id in trace.standing:  # sent again: the same id, settled as a duplicate
            return ()
        above = set(trace.above(call.id))
        around, inside, beside = [], [], []
        for other in trace.standing.values():
            if other.family != call.family:
                continue
            if other.id in above:
                around.append(other)
            elif call.id in trace.above(other.id):
                inside.append(other)
            elif call.beside(other):
                beside.append(other)
        better = (
            len(inside) > 1
            or any(other.captured or not call.captured for other in (*inside, *beside))
            or any(other.captured and not call.captured for other in around)
        )
        if better:
            return None
        worse = (*around, *inside, *beside)
        for other in worse:
            del trace.standing[other.id]
        if len(trace.standing) < MAX_SPANS:
            trace.standing[call.id] = call
        return worse

    def _trace(self, identifier: str) -> _Trace:
        found = self._traces.get(identifier)
        if found is None:
            found = self._traces[identifier] = _Trace()
            if len(self._traces) > self._most:
                self._traces.popitem(last=False)
        else:
            self._traces.move_to_end(identifier)
        return found
