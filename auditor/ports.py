"""The seams: what plugins, stores, archives and engines look like to the rest. One or two methods each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from auditor.core.record import CaptureTally, EnergyReading, Label, Scalar

if TYPE_CHECKING:  # numpy stays out of the agent's import
    from auditor.core.artifact import Artifact, Rendering
    from auditor.core.catalogue import MetricSpec
    from auditor.core.command import Command
    from auditor.core.delivery import Backlog, Delivery, Pending
    from auditor.core.frame import Frame
    from auditor.core.loss import Loss, LostPart
    from auditor.core.measurement import Measurement, Reading
    from auditor.core.monitor import MonitorState
    from auditor.core.rows import Rows
    from auditor.core.run import Audit, AuditRun, Replay
    from auditor.core.state import WindowState
    from auditor.core.verdict import Alert, Verdict
    from auditor.core.window import Baseline, Span

A = TypeVar("A")
B = TypeVar("B")

# -- plugins ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that a sink or a meter declares: its key in `[sinks.<name>]` or `[energy.<name>]` of auditor.toml.

    The default's type is the option's type. `{home}` in a text stands for the home's folder. A `required` option has no
    usable default; an option that is absent from its plugin's table takes the key of the same name of the section itself.
    """

    name: str
    help: str
    default: bool | int | float | str | tuple[str, ...] = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class DescriptorColumn:
    """One column a descriptor yields: name, `numeric` or `categorical`, UCUM unit, meaning, and title for readers.

    An empty title is derived from the name: `tilt_deg` of unit `deg` reads `tilt (deg)`.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    title: str = ""


@runtime_checkable
class Descriptor(Protocol):
    """kind `descriptors`: raw payload -> a few figures. `version` changes whenever the set of columns or a value does.

    `modality` is the plugin's name. `title` ("Images"), `headline` of an alert about its drift ("Images changed") and
    `advice` (what to do next) are for readers. Two attributes may be there for mapping files: `arrays = True`, when the
    numbers of a cell are to be handed over as an array; `files = True`, when `describe` opens a path itself.
    """

    modality: str
    title: str
    headline: str
    advice: str
    version: str
    columns: tuple[DescriptorColumn, ...]

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column name; None where this host lacks the library. Raises DescribeError with a code."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Makes the embedding of one input; `version` changes whenever a vector would. One thread at a time asks it.

    The PLUGIN of kind `encoders` is a factory: `open(name)` gives an encoder, and loads what it needs.
    """

    version: str

    def encode(self, value: Any) -> Sequence[float]:
        """Shape (k,), finite. Raises DescribeError with a code for what it cannot take."""
        ...


@runtime_checkable
class Measurer(Protocol):
    """kinds `drift`, `fairness`, `quality`: a window's state, and its baseline's, -> readings.

    Measures only: no threshold, no clock, no I/O. Without a baseline (`baseline is None`) a measurer that needs one yields
    nothing; `measure` says `no_baseline` once for it.
    """

    version: str
    metrics: tuple[MetricSpec, ...]
    needs_baseline: bool

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings in a stable order."""
        ...


@runtime_checkable
class Monitor(Protocol):
    """A measurer that also keeps count in the order of time: closed windows are bet on once, and never again."""

    def begin(self, baseline: WindowState, frame: Frame, *, pinned: str, at: datetime) -> MonitorState:
        """A monitor that has bet on nothing, for windows from `at` on; `pinned` is the baseline's id."""
        ...

    def bet(
        self,
        monitor: MonitorState,
        current: WindowState,
        baseline: WindowState,
        frame: Frame,
        span: Span,
        *,
        sequence: int = 0,
    ) -> MonitorState:
        """The monitor after a batch of `span`: all its records, or those that arrived since it was bet on.

        `sequence` is the drain that took in the newest of them; as it was, when `monitor.accepts` no such batch.
        """
        ...

    def read(
        self, monitor: MonitorState, current: WindowState, baseline: WindowState, frame: Frame
    ) -> Iterable[Reading]:
        """What it says after the window `current` was bet on, in a stable order."""
        ...


@dataclass(frozen=True, slots=True)
class Operator:
    """kind `operators`: the range of figures that satisfies a condition of a policy.

    Attributes
    ----------
    phrase : str
        The condition in words, with `{low}` and `{high}` for its ends: `at most {high}`.
    numbers : int
        How many numbers the condition's `value` holds; 0: no limit, the p-value alone decides.
    limits : callable
        Those numbers -> (low, high); None: open at that end. ValueError says what does not fit.
    strict : bool
        Whether an end itself lies outside.
    """

    phrase: str
    numbers: int
    limits: Callable[..., tuple[float | None, float | None]]
    strict: bool = False

    def validate(self, value: float | Sequence[float] | None) -> tuple[float | None, float | None]:
        """The range of a condition's `value`; ValueError with what the operator takes, when it does not take this."""
        several = self.numbers > 1
        numbers = () if value is None else tuple(value) if isinstance(value, Sequence) else (value,)
        wanted = (
            ("no value", "one number")[self.numbers] if not several else f"{self.numbers} numbers, the smaller first"
        )
        if len(numbers) != self.numbers or isinstance(value, Sequence) != several:
            raise ValueError(f"takes {wanted}")
        low, high = self.limits(*numbers)
        if low is not None and high is not None and low > high:
            raise ValueError(f"takes {wanted}")
        return low, high


@runtime_checkable
class Renderer(Protocol):
    """A measurer that can also draw: one HTML page from the samples of both states."""

    def render(self, current: WindowState, baseline: WindowState, frame: Frame) -> Rendering | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """What a meter saw since its last reading.

    `joules` by component; `cpu_s` CPU seconds of everything in `scope` (`process` or `machine`); `method` one of measured,
    calibrated, modelled, sourced.
    """

    duration_s: float
    joules: Mapping[str, float]
    cpu_s: float
    method: str
    meter: str
    scope: str
    country: str | None = None
    kg_co2e: float | None = None


@runtime_checkable
class Meter(Protocol):
    """kind `energy`: what runs beside a model and counts joules. `read` never raises; None when nothing was measured.

    The PLUGIN is a factory: it declares `options`, and `configure(**options)` gives a meter that has not started.
    """

    def start(self) -> None: ...
    def read(self) -> MeterReading | None: ...
    def stop(self) -> None: ...


@runtime_checkable
class Sink(Protocol):
    """kind `sinks`: a copy of an audit, made after it was committed.

    The PLUGIN is a factory: it declares `options`, and `configure(**options)` gives a sink and opens nothing yet. Deliveries come from the outbox, those
    of one model in order, each at least once: delivering twice is harmless. A sink with an attribute `events` (of `opened`,
    `renewed`, `resolved`) gets one delivery an alert event: an audit with the run and that alert alone. Any other sink gets
    one delivery a window.
    """

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Raises SinkError, `permanent` for a refusal that another attempt would not change.

        `artifacts` is the folder that holds the audit's artifact files.
        """
        ...


# -- intake and archive -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that could not be read: counted and named, of files set aside in quarantine; the rest was processed."""

    what: str
    where: str
    lost: int = 0


@dataclass(slots=True, kw_only=True)
class IntakeReport:
    """What one drain of spool and journal did.

    `labels` were taken in, of which `unmatched` have no record yet; `ambiguous` ones, which fit records of several models,
    were refused.
    """

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    labels: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    damaged: list[Damage] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Ledger(Protocol):
    """What lies beside the archive, so that the store can be made again from both."""

    def keep_command(self, command: Command, audited_until: datetime | None) -> None:
        """Keep what a person said; `audited_until` is up to where the model it names was audited by then."""
        ...

    def keep_audited(self, model: str, until: datetime, sent: Mapping[str, datetime]) -> None:
        """Up to where a model was audited, and by name of the sink, up to where it received everything."""
        ...


class LossKeeper(Protocol):
    """Keeps damage of the archive on record until it is mended."""

    def settle(self, now: datetime) -> Sequence[Damage]:
        """Put new damage on record and take off what is restored; damage that concerns no known file is handed back."""
        ...


class Intake(Protocol):
    """Takes closed segments of spool and journal into archive, index and store."""

    def drain(self) -> IntakeReport: ...
    def acknowledge(self) -> None:
        """The commands of the last drain were applied: it need not hand them over again."""
        ...


class Archive(Protocol):
    """Records at rest, by model and day."""

    def models(self) -> Sequence[str]: ...

    def read(self, model: str, span: Span) -> Rows:
        """Rows of the span with their labels, in the order of their ids; damaged files are set aside and counted."""
        ...

    def days(self, model: str) -> Sequence[datetime]:
        """Beginnings of the days that have records, oldest first."""
        ...

    def sequence(self, model: str, span: Span) -> int:
        """Number of the newest drain that wrote records of the span's days, as far as segments are numbered; else 0."""
        ...


class Engine(Protocol):
    """kind `engines`: where summarising runs. Order is kept; scheduling and retries are the engine's."""

    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]: ...


# -- the store ----------------------------------------------------------------------------------------------------------


RecordKey = tuple[str, str]
"""Model and id: ids are unique within a model."""


class IndexEntry(NamedTuple):
    """A record's line in the index, kept as long as the record: twice the same id of one model is one record."""

    id: str
    digest: str
    model: str
    day: str
    segment: str

    @property
    def key(self) -> RecordKey:
        return self.model, self.id


class ArchivePart(NamedTuple):
    """A file of the archive as it was written: what tells later whether it still is."""

    path: str
    sha256: str
    size: int
    rows: int | None = None
    """Counted for files of labels and ids; records are counted by the index."""


class PartStore(Protocol):
    """Checksums of the archive's files."""

    def put_part(self, part: ArchivePart) -> None: ...
    def forget_part(self, path: str) -> None: ...
    def part(self, path: str) -> ArchivePart | None: ...
    def parts(self, folder: str) -> Sequence[ArchivePart]:
        """Those below a folder, by path."""
        ...


class RecordIndex(Protocol):
    """Idempotency, for ever."""

    def claim(self, entries: Sequence[IndexEntry]) -> Sequence[str]:
        """For each entry `new`, `duplicate` or `conflict` (same model and id, other digest).

        Claiming again from the same segment is `new` again: a drain that was cut short can be repeated.
        """
        ...

    def locate(self, ids: Sequence[str]) -> Mapping[RecordKey, IndexEntry]:
        """Lines of every model that has a record of one of these ids."""
        ...

    def keep_unsettled(self, labels: Sequence[NumberedLabel]) -> None:
        """Keep labels that no single record can be found for."""
        ...

    def found_labels(self) -> Sequence[NumberedLabel]:
        """Unmatched labels whose record has arrived since."""
        ...

    def settle_labels(self, settled: Sequence[NumberedLabel], ambiguous: Sequence[NumberedLabel] = ()) -> None:
        """Forget labels whose record was found; keep those that fit records of several models as ambiguous."""
        ...


class NumberedLabel(NamedTuple):
    """A label and its number in the order of arrival."""

    received: int
    label: Label


class LossStore(Protocol):
    """Files that the archive lost, and the lines that the index lost with them."""

    def indexed(self, model: str, day: str) -> Sequence[IndexEntry]:
        """Lines of the index of one model and day."""
        ...

    def lost_parts(self) -> Sequence[LostPart]: ...
    def lost_records(self, model: str, day: str) -> Sequence[IndexEntry]: ...
    def lose(self, parts: Sequence[LostPart], entries: Sequence[IndexEntry]) -> None:
        """Put files on record as lost, and move lines from the index to those that are lost."""
        ...

    def recover(self, paths: Sequence[str], entries: Sequence[IndexEntry]) -> None:
        """Files are restored; lines go back to the index, unless their ids were delivered again."""
        ...


class StateStore(Protocol):
    """Hourly states, the readings and tallies that go into them, and the hours that wait to be summarised (again)."""

    def put_readings(
        self, segment: str, readings: Sequence[EnergyReading], tallies: Sequence[CaptureTally]
    ) -> None: ...
    def readings(self, model: str, span: Span) -> tuple[Sequence[EnergyReading], Sequence[CaptureTally]]: ...
    def mark_dirty(self, model: str, hours: Iterable[datetime]) -> None: ...
    def dirty(self, model: str) -> Sequence[datetime]: ...
    def dirty_models(self) -> Sequence[str]:
        """Models with such hours, by name: also those of which nothing but counts arrived."""
        ...

    def put_states(self, model: str, hours: Sequence[datetime], frame: str, states: Sequence[WindowState]) -> None:
        """Replace the hours' states for that frame (states of other frames of these hours are dropped) and clean them."""
        ...

    def states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        """Hourly states by hour, then version; a whole day of which only the roll-up is left stands for its hours."""
        ...

    def window_states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        """As few states as make up the span, for `core.rollup.merge_window`: months, days, and hours beside them."""
        ...

    def hours(self, model: str, span: Span, frame: str) -> Sequence[datetime]:
        """Hours of the span that are summarised on that frame (with or without records)."""
        ...

    def put_monitor(self, name: str, state: MonitorState) -> None:
        """Keep what the named monitor knows of a model since a baseline, in place of what it knew before."""
        ...

    def monitor(self, name: str, model: str, baseline: str) -> MonitorState | None: ...


class BaselineStore(Protocol):
    """Pinned baselines, their frames and merged states; re-pinning keeps history."""

    def pin(self, baseline: Baseline, frame: Frame, state: WindowState) -> None: ...
    def baseline(self, model: str) -> tuple[Baseline, Frame, WindowState] | None:
        """The newest one."""
        ...


class AuditStore(Protocol):
    """Audited windows."""

    def commit(self, audit: Audit, deliveries: Sequence[Delivery] = (), *, sent: Collection[str] = ()) -> None:
        """Run, measurements, verdicts, artifacts, alert changes and deliveries in one transaction.

        `sent` names sinks that received them before: their keys are kept, so that none is sent again.
        """
        ...

    def check_model(self, model: str) -> None:
        """StoreError `store_damaged` unless the rows which the model's next audit rests on are those that were written."""
        ...

    def parts_of(self, run: AuditRun) -> tuple[Sequence[Measurement], Sequence[Verdict]]:
        """The measurements and verdicts of one run, by id."""
        ...

    def replay(self, model: str) -> Replay | None:
        """Start of the windows to judge again; None: none."""
        ...

    def put_replay(self, model: str, replay: Replay | None) -> None: ...

    def log_command(self, command: Command) -> bool:
        """Keep what a person said; False when it was already there."""
        ...


class OutboxStore(Protocol):
    """Deliveries that wait for their sinks; keys of those that were sent are kept for ever."""

    def waiting(self, sink: str) -> Sequence[Pending]:
        """The deliveries that wait, in order."""
        ...

    def delivered_audit(self, sink: str, key: str) -> Audit:
        """The audit that a delivery carries, with the alerts as they were at the event."""
        ...

    def settle_delivery(self, sink: str, key: str) -> None: ...
    def postpone_delivery(self, sink: str, key: str, *, error: str, due: datetime) -> None: ...
    def bury_delivery(self, sink: str, key: str, *, error: str) -> None: ...
    def backlog(self, sinks: Collection[str], *, dead: bool = False) -> Sequence[Backlog]:
        """Waiting deliveries by sink, or with `dead` its dead letters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """What a reader wants to know first about a model."""

    name: str
    versions: Sequence[str]
    first: datetime
    last: datetime
    records: int


class UnsettledLabels(NamedTuple):
    """How many ids have a label and no record, since when; and how many have one that fits records of several models."""

    unmatched: int = 0
    ambiguous: int = 0
    since: datetime | None = None


class Queries(Protocol):
    """Reads for dashboard, reports, policies and HTTP. Always the newest revision of a window, unless asked otherwise."""

    def models(self) -> Sequence[ModelSummary]: ...
    def model_names(self) -> Sequence[str]:
        """Models of which anything arrived, by name."""
        ...

    def versions(self, model: str, span: Span) -> Mapping[str, datetime]:
        """Named versions with summarised records in the span, oldest first: the start of the first hour that has one.

        That hour may lie before the span; of a day of which only a roll-up is left, it is the day.
        """
        ...

    def runs(self, model: str, span: Span | None = None) -> Sequence[AuditRun]:
        """By window start."""
        ...

    def measurements(
        self,
        model: str,
        *,
        metric: str | None = None,
        span: Span | None = None,
        version: str | None = None,
        all_versions: bool = False,
    ) -> Sequence[Measurement]:
        """By start, then series. `metric` is a name, or a prefix that ends in `.`; windows inside `span`.

        `version=None` means the figures of all versions together; `all_versions` brings those of each version as well.
        """
        ...

    def verdicts(self, model: str, *, control: str | None = None, span: Span | None = None) -> Sequence[Verdict]: ...
    def last_verdicts(self, model: str, before: datetime) -> Sequence[Verdict]:
        """The verdicts of each control in the newest window that judged it, of those that end at or before `before`.

        A series that this window no longer had (before there was a baseline, another input, a group that is gone) is
        superseded.
        """
        ...

    def alerts(
        self, model: str | None = None, *, state: str | None = None, span: Span | None = None
    ) -> Sequence[Alert]:
        """By time of opening; `span` selects by that time."""
        ...

    def artifacts(self, model: str, *, span: Span | None = None) -> Sequence[Artifact]: ...
    def baselines(self, model: str) -> Sequence[Baseline]:
        """Newest first."""
        ...

    def commands(self, kind: str | None = None) -> Sequence[Command]:
        """What persons stated, oldest first."""
        ...

    def losses(self, model: str | None = None) -> Sequence[Loss]:
        """What the archive lost, by model and day; of one model, lost labels of any model included."""
        ...

    def outbox(self, *, dead: bool = False) -> Sequence[Backlog]:
        """By sink, deliveries that wait; with `dead` those that were refused for good."""
        ...

    def unsettled_labels(self) -> UnsettledLabels:
        """Labels that count for no record."""
        ...


class Store(RecordIndex, PartStore, LossStore, StateStore, BaselineStore, AuditStore, OutboxStore, Queries, Protocol):
    """Everything that is kept outside the archive: one class, several small faces."""

    def close(self) -> None: ...


# -- the agent ----------------------------------------------------------------------------------------------------------


class Transport(Protocol):
    """Where an agent's frames go. `send` is called by the agent's worker thread only."""

    def send(self, frames: Sequence[tuple[str, bytes]]) -> None:
        """Deliver (kind, payload) frames durably, or raise; kinds: record, label, energy, tally, command."""
        ...

    def close(self) -> None: ...
