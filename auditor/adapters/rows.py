"""One call of the host with many rows: which of them are described, their inputs before it, the answers after it.

A call of n rows is n inferences. Ids follow from the call's; which rows are chosen follows from the ids, before the call;
only chosen rows are copied. They are handed over in pieces, so that no batch is too large for the queue, and become
records in the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from time import perf_counter, process_time, thread_time
from types import NoneType
from typing import Any, Protocol

from auditor.adapters.tensors import Taken, length, take
from auditor.agent.call import Call, Skipped, call_context
from auditor.agent.ids import new_id
from auditor.agent.shield import shield
from auditor.agent.site import Site
from auditor.agent.snapshot import TooLarge, freeze

MAX_ID = 64
"""Characters of a record's id."""
_PIECE = 4 << 20
"""Bytes of chosen rows that stand in the queue as one."""


class Described(Protocol):
    """One or several inputs of a call."""

    value: Any

    def freeze(self, rows: Sequence[int]) -> int:
        """Keep the chosen rows, let go of the host's values; the bytes they take."""

    def payloads(self, position: int, seen: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The payloads of one chosen row; `seen` holds what the answer tells of inputs."""


Answers = Mapping[str, Any]
"""Part of the answer to something with `at(position)`, or to a list with an entry for each chosen row."""


class Column:
    """One input of a call.

    Parameters
    ----------
    value : object
        None: the model was called without it.
    each : bool
        Whether it has a row for each row of the call; else all rows have it in common.
    rate : float or list of float, optional
        Hz; a list has one for each row.
    convert : callable, optional
        Makes the payload of a row from the frozen row; called in the worker.
    error : str or list, optional
        Why there is no value although the model had one.
    embedded : bool
        The value itself tells nothing; what a hook saw of this input is described in its place.
    """

    __slots__ = ("convert", "each", "embedded", "encoder", "error", "modality", "name", "rate", "taken", "value")

    def __init__(
        self,
        name: str,
        value: Any,
        *,
        each: bool,
        modality: str | None = None,
        rate: Any = None,
        encoder: str | None = None,
        convert: Callable[[Any], Any] | None = None,
        error: str | Sequence[str | None] | None = None,
        embedded: bool = False,
    ) -> None:
        self.name = name
        self.value = value
        self.embedded = embedded and value is not None
        self.each = each
        self.modality = modality
        self.rate = rate
        self.encoder = encoder
        self.convert = convert
        self.error: Any = error
        self.taken: Taken | None = None

    def freeze(self, rows: Sequence[int]) -> int:
        """Keep the chosen rows, let go of the host's value; the bytes they take."""
        value, self.value = self.value, None
        if isinstance(self.rate, list):
            self.rate = [self.rate[row] for row in rows]
        if not isinstance(self.error, (str, NoneType)):
            self.error = [self.error[row] for row in rows]
        if value is None or isinstance(self.error, str) or self.embedded:
            return 0
        try:
            self.taken = take(value, rows if self.each else None)
        except TooLarge:
            self.error = "too_large"
        except Exception:  # a tensor without data, or a list that is shorter than it said
            self.error = "unreadable"
        return 0 if self.taken is None else self.taken.size

    def payloads(self, position: int, seen: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The fields of a `Payload`, for one chosen row; `seen` is what the answer tells of inputs."""
        value, error = None, self.error if isinstance(self.error, (str, NoneType)) else self.error[position]
        if self.embedded:
            value = seen.get(self.name, {}).get("embedding")
            error = "no_embedding" if value is None else None
        elif self.taken is not None and error is None:
            try:
                value = self.taken.at(position)
                if value is not None and self.convert is not None:
                    value = self.convert(value)
            except Exception:
                value, error = None, "unreadable"
        rate = self.rate[position] if isinstance(self.rate, list) else self.rate
        return [(self.name, value, self.modality, rate, None, None, self.encoder, error)]


class _Single:
    """Whether a call was alone in this process from its beginning to its end."""

    lock = threading.Lock()
    open = 0
    begun = 0


class Flight:
    """One call of the host. Neither `begin` nor `finish` ever raises an Exception.

    Attributes
    ----------
    rows : sequence of int
        The rows that are described.
    taps : dict
        What hooks saw while the call ran, by (input, field): for whoever reads the answer.
    first_s : float or None
        Seconds to the first token.
    """

    def __init__(self, site: Site, count: int) -> None:
        self.site = site
        self.count = count
        self.rows: Sequence[int] = ()
        self.columns: list[Described] = []
        self.found: Answers = {}
        self.taps: dict[tuple[str, str], list[Taken]] = {}
        self.error: str | None = None
        self.first_s: float | None = None
        self.latency_s: float | None = None
        self.size = 0
        self._began = 0.0
        self._lost = 0
        self._left = count
        self._failed = False
        self._alone = -1

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return perf_counter() - self._began

    def backdate(self, began: float) -> None:
        """The call began earlier, by the performance clock."""
        self._began = began

    def open(
        self,
        columns: Callable[[], Iterable[Described]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        us: int,
        ids: Sequence[str] | None,
    ) -> None:
        """Choose rows and freeze their inputs; `columns` is asked only when there is something to describe."""
        recorder = self.site.recorder
        self._process_token = recorder.process_token
        self.rate = recorder.rate
        self.us = us
        said = call_context.get()
        self.ids = ids or row_ids(None if said is None else said.take_id(), us, self.count)
        self.subject = None if said is None else said.subject
        self.groups: dict[str, Any] = dict(said.groups) if said is not None and said.groups else {}
        if recorder.has_destination:
            chosen = range(self.count)
            self.rows = chosen if recorder.bar is None else [row for row in chosen if recorder.chooses(self.ids[row])]
        if self.rows:
            self.columns = list(columns())
            self._take_groups(args, kwargs)
            self._take_columns()
        if recorder.metered:
            self._start_clocks()

    def _take_groups(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        said = self.site.groups
        if said is not None:
            with shield(self.site.recorder.faults, "groups_unreadable"):
                self.groups = {**(said(*args, **kwargs) if callable(said) else said), **self.groups}
        self.groups = {name: _listed(value) for name, value in self.groups.items()}

    def _take_columns(self) -> None:
        """Freeze the inputs of as many chosen rows as there is room for."""
        recorder = self.site.recorder
        row_size = sum(_row_size(column) for column in self.columns)
        if row_size and not recorder.block_when_full:
            room = max(0, recorder.limit_bytes - recorder.queued_bytes) // row_size
            self._lost = max(0, len(self.rows) - room)
            self.rows = self.rows[:room]
        self.size = sum(column.freeze(self.rows) for column in self.columns)

    def _start_clocks(self) -> None:
        with _Single.lock:
            _Single.open += 1
            _Single.begun += 1
            self._alone = _Single.begun if _Single.open == 1 else 0
        self._process = process_time()
        self._cpu = thread_time()

    def _cpu_s(self) -> float:
        """CPU seconds of the call: of its thread, and while no other watched call runs of the library's threads, too."""
        if self._alone < 0:
            return 0.0
        thread, process = thread_time() - self._cpu, process_time() - self._process
        with _Single.lock:
            _Single.open -= 1
            alone = self._alone == _Single.begun
        return max(thread, process) if alone else thread

    def finish(self, read: Callable[[], Answers], error: BaseException | None, latency_s: float | None = None) -> None:
        """Hand the rows over.

        Parameters
        ----------
        read : callable
            Gives the answers; asked when rows are described and the call did not fail.
        latency_s : float, optional
            Seconds that the call took, when its beginning and end do not tell.
        """
        with shield(self.site.recorder.faults, "finish_failed"):
            self._hand_over(read, error, self.elapsed if latency_s is None else latency_s)
        self.give_up()

    def give_up(self) -> None:
        """Rows that were not handed over count, without records."""
        left, self._left = self._left, 0
        self.site.recorder.fail(left)

    def _hand_over(self, read: Callable[[], Answers], error: BaseException | None, latency_s: float) -> None:
        recorder = self.site.recorder
        cpu = self._cpu_s()
        if not recorder.live:
            recorder.after_close += self._left
            self._left = 0
        if self._failed or not self._left:
            return
        if self._process_token is not recorder.process_token:
            recorder.notes.append("fork_discarded")  # the parent counts and sends this call
            self._left = 0
            return
        self.latency_s = latency_s / self.count
        share = cpu / self.count
        if not self.rows and self.count == 1 and not self._lost and recorder.has_destination:
            recorder.skip(self.us, cpu, self.site.ref)
            self._left = 0
            return
        sampled = self.count - len(self.rows) - self._lost
        for number, reason in ((sampled, recorder.skip_reason), (self._lost, "queue_bytes")):
            if number:
                recorder.count(Skipped(self.us, share * number, self.site.ref, reason, number))
                self._left -= number
        if error is not None:
            self.error = type(error).__name__
        elif self.rows:
            with shield(recorder.faults, "answer_unreadable"):
                self.found = read()
        for piece in self._pieces(share):
            recorder.push(piece)
            self._left -= piece.rows

    def _pieces(self, cpu: float) -> list[Call]:
        size = self.size + sum(part.size for part in self.found.values() if isinstance(part, Taken))
        number = len(self.rows)
        if not number:
            return []
        step = max(1, number if size <= _PIECE else number * _PIECE // size)
        pieces = []
        for start in range(0, number, step):
            stop = min(number, start + step)
            call = Call(self.ids[self.rows[start]], self.us, self.site, self.rate, self._process_token)
            call.rows = stop - start
            call.size = 256 * call.rows + size * call.rows // number
            call.cpu = cpu * call.rows
            call.split = Piece(self, start, stop)
            pieces.append(call)
        return pieces


class Passing(Flight):
    """A call of one row that was not chosen: it is counted, and nothing of it is kept."""

    def __init__(self, site: Site, us: int) -> None:
        recorder = site.recorder
        self.site = site
        self.count = self._left = 1
        self.rows = ()
        self.us = us
        self.first_s = None
        self._process_token = recorder.process_token
        self._alone = -1
        if recorder.metered:
            self._start_clocks()
        self._began = perf_counter()

    def finish(self, read: Callable[[], Answers], error: BaseException | None, latency_s: float | None = None) -> None:
        recorder = self.site.recorder
        try:
            cpu = self._cpu_s()
            if not recorder.live:
                recorder.after_close += self._left
            elif self._left and self._process_token is recorder.process_token:
                recorder.skip(self.us, cpu, self.site.ref)
            elif self._left:
                recorder.notes.append("fork_discarded")  # the parent counts this call
            self._left = 0
        except Exception as fault:
            recorder.faults.note("finish_failed", fault)
        self.give_up()


class Piece:
    """Some of the chosen rows of a call; in the worker it becomes their calls."""

    __slots__ = ("flight", "start", "stop")

    def __init__(self, flight: Flight, start: int, stop: int) -> None:
        self.flight = flight
        self.start = start
        self.stop = stop

    def __call__(self, call: Call) -> list[Call]:
        return [self._row(call, position) for position in range(self.start, self.stop)]

    def _row(self, call: Call, position: int) -> Call:
        flight = self.flight
        index = flight.rows[position]
        row = Call(flight.ids[index], call.us, call.site, call.rate, call.process_token)
        row.found = self._found(position)
        seen = row.found.get("inputs", {})
        row.payloads = [payload for column in flight.columns for payload in column.payloads(position, seen)]
        row.groups = {name: of_row(value, index, flight.count) for name, value in flight.groups.items()}
        row.subject = flight.subject
        row.error = flight.error
        row.latency_s = flight.latency_s
        row.first_token_s = flight.first_s
        row.cpu = call.cpu / call.rows
        return row

    def _found(self, position: int) -> dict[str, Any]:
        """The row's answer; a part that cannot be read is left out, and noted."""
        found: dict[str, Any] = {}
        faults = self.flight.site.recorder.faults
        for name, part in self.flight.found.items():
            with shield(faults, "answer_unreadable"):
                if name == "inputs":
                    found[name] = {
                        entry: {field: _at(values, position) for field, values in fields.items()}
                        for entry, fields in part.items()
                    }
                else:
                    found[name] = _at(part, position)
        return {name: value for name, value in found.items() if value is not None}


def begin(
    site: Site,
    count: int,
    columns: Callable[[], Iterable[Described]],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Flight | None:
    """A call of `count` rows begins; None when it is not to be seen (closed, no longer watched, or without rows).

    Parameters
    ----------
    columns : callable
        Gives the inputs, when any row is described.
    args, kwargs
        Of the host's call, for `groups`.
    """
    recorder = site.recorder
    if not site.live or count < 1:
        return None
    flight: Flight | None = None
    try:
        if recorder.live:
            us = recorder.now_us()
            ids = None
            if count == 1 and recorder.bar is not None and call_context.get() is None:
                ids = (new_id(us // 1000),)
                if not recorder.chooses(ids[0]):
                    return Passing(site, us)
            flight = Flight(site, count)
            flight.open(columns, args, kwargs or {}, us, ids)
    except Exception as fault:
        recorder.faults.note("begin_failed", fault)
        flight = flight or Flight(site, count)
        flight._failed = True
    flight = flight or Flight(site, count)
    flight._began = perf_counter()
    return flight


def _row_size(column: Described) -> int:
    """Bytes of one row of an input, roughly: enough to estimate how many fit."""
    rows = length(column.value) if getattr(column, "each", True) else 1
    total = getattr(column.value, "nbytes", 0)
    return int(total or 0) // max(1, rows or 1)


def row_ids(said: Any, us: int, count: int) -> Sequence[str]:
    """One id a row: those that were given, or numbers behind one.

    One that is too long to be numbered within `MAX_ID` is cut, and told from others of its beginning by a digest.

    >>> row_ids("shelf-7", 0, 2), [len(name) for name in row_ids("x" * 63, 0, 2)]
    (['shelf-7-0', 'shelf-7-1'], [64, 64])
    """
    if isinstance(said, (list, tuple)) and len(said) == count:
        return [str(identifier)[:MAX_ID] for identifier in said]
    first = new_id(us // 1000) if said is None or isinstance(said, (list, tuple)) else str(said)
    if count == 1:
        return [first[:MAX_ID]]
    room = MAX_ID - len(f"-{count - 1}")
    if len(first) > room:
        tail = blake2b(first.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        first = f"{first[: room - len(tail) - 1]}-{tail}"
    return [f"{first}-{index}" for index in range(count)]


def _listed(value: Any) -> Any:
    """A slice, or one for each row, as plain Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return freeze(value)[0]


def of_row(value: Any, index: int, count: int) -> Any:
    """A slice of one row: its own where a list or an array of the call's length was given, else the one of all."""
    return value[index] if length(value) == count else value


def _at(part: Any, position: int) -> Any:
    if isinstance(part, (list, tuple)):
        return part[position]
    return part.at(position) if hasattr(part, "at") else part
