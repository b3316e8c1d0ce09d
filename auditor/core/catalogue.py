"""The vocabulary: what a metric, a kind of input and an alert are called. Each plugin brings the entries it owns.

A plugin carries the `MetricSpec`s of what it measures, a descriptor the title and advice of its modality;
`registry.vocabulary()` joins them with the metrics of core below. Entries are data; `wording` makes sentences of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.ports import Descriptor, Operator

HEAD = "head."
"""Begins the columns of the model's own heads about an input, beside those of the payload."""
OWN_MODALITY = "modality"
"""`MetricSpec.alert` of figures about one input: an alert about them is of the kind of that input."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A name in the catalogue.

    Attributes
    ----------
    name : str
        Dotted; a trailing `*` stands for a family (`quality.*`).
    unit : str
        UCUM: `1`, `J`, `s`, `kg{CO2e}`, `{inference}`.
    meaning : str
        One plain sentence.
    worse : str
        `higher`, `lower` or `` (neither): which direction a reader should worry about.
    attributes : tuple of str
        Keys that tell series of this metric apart.
    lower, upper : float or None
        The range a value can take, when there is one.
    label : str
        Noun phrase that stands for the metric in a sentence: `share of records without this input`.
    short : str
        Heading of a column of a table: `KS`; empty: the label.
    format : str
        How a value is written: `number` (with its unit), `percent`, `points` (percentage points) or `times`.
    alert : str
        Kind of an alert about it: a key of `ALERTS`, or `OWN_MODALITY`.
    clause : str
        Template of a finding, without a full stop. Fields: value, column, input, pair, feature, group, metric.
        Empty: `the {metric}{of} is {value}`.
    compares : str
        What a figure of change compares, and where its scale begins and ends, in one sentence.
    unbiased : bool
        Whether the share that chance alone adds is taken off, so that the value can fall below 0.
    reads : tuple of (float or None, str)
        Template by the largest value that it fits, ascending; None: no upper end. Fields: `wording.distances`.
    """

    name: str
    unit: str
    meaning: str
    worse: str = ""
    attributes: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None
    label: str = ""
    short: str = ""
    format: str = "number"
    alert: str = "policy"
    clause: str = ""
    compares: str = ""
    unbiased: bool = False
    reads: tuple[tuple[float | None, str], ...] = ()


FORMATS = ("number", "percent", "points", "times")


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """Headline of an alert of one kind, and the advice shown where a policy gives none."""

    headline: str
    advice: str


ALERTS: dict[str, AlertTerms] = {
    "bias": AlertTerms(
        "Outcomes differ between groups",
        "Look at the cases of the group with the lowest figure and compare how its data reach the model. "
        "Assess the harm before changing anything, and decide on a mitigation with the people concerned.",
    ),
    "alignment": AlertTerms(
        "Inputs stopped belonging together",
        "Check that the inputs of one record belong to the same case: join keys, queues and upload order.",
    ),
    "missing": AlertTerms(
        "An input is missing more often",
        "Check the path on which this input arrives: uploader, permissions, time-outs.",
    ),
    "energy": AlertTerms(
        "Energy per inference rose",
        "Compare versions, batch sizes and retries before and after the change; a new release is a usual cause.",
    ),
    "quality": AlertTerms(
        "Quality of the outputs changed",
        "Read a sample of wrong outputs, and compare with the drift of the inputs in the same windows.",
    ),
    "capture": AlertTerms(
        "Records are being lost",
        "Look at the reasons of the losses below; until they are repaired, other figures rest on fewer records.",
    ),
    "traffic": AlertTerms(
        "Traffic changed",
        "Check whether the callers, their routing or the sampling changed; no traffic at all can be a broken agent.",
    ),
    "policy": AlertTerms("A control failed", "Read the control and its evidence, and decide who should act."),
}
"""Kinds of alert that are about no single input; each modality is a kind too."""


@dataclass(frozen=True)
class Vocabulary:
    """Every name that plugins and core declare.

    Attributes
    ----------
    metrics : mapping of str to MetricSpec
    modalities : mapping of str to Descriptor
        By name; a modality's title, headline, advice and columns.
    operators : mapping of str to Operator
        Operators of policy conditions, by name.
    """

    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    modalities: Mapping[str, Descriptor] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)

    def metric(self, name: str) -> MetricSpec | None:
        """The entry of a metric: its own, else that of the longest family (`quality.*`) it belongs to."""
        if name in self.metrics:
            return self.metrics[name]
        families = [key for key in self.metrics if key.endswith("*") and name.startswith(key[:-1])]
        return self.metrics[max(families, key=len)] if families else None

    def alert_kinds(self) -> tuple[str, ...]:
        """Every kind an alert can have."""
        return (*self.modalities, *ALERTS)

    def alert_kind(self, metric: str, modality: str | None = None) -> str:
        """The kind of an alert about `metric`; about one input, that input's modality.

        A figure of drift about no input is about the model's outputs.
        """
        spec = self.metric(metric)
        if spec is None:
            return "policy"
        return (modality or "quality") if spec.alert == OWN_MODALITY else spec.alert

    def headline(self, kind: str) -> str:
        """Headline of an alert of that kind; empty for a kind whose plugin is not installed here."""
        return self._terms(kind).headline if kind in self.alert_kinds() else ""

    def advice(self, kind: str) -> str:
        """What to do next about an alert of that kind."""
        return self._terms(kind if kind in self.alert_kinds() else "policy").advice

    def _terms(self, kind: str) -> AlertTerms | Descriptor:
        return ALERTS[kind] if kind in ALERTS else self.modalities[kind]


CORE_METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "traffic.calls",
        "{inference}",
        "Calls in the window: at rest, or seen by agents.",
        "lower",
        (),
        0.0,
        label="calls in the window",
        alert="traffic",
    ),
    MetricSpec(
        "capture.seen", "{inference}", "Calls the agents saw, described or not.", label="calls seen", alert="capture"
    ),
    MetricSpec(
        "capture.described",
        "{inference}",
        "Calls whose payloads were described.",
        label="calls described",
        alert="capture",
    ),
    MetricSpec(
        "capture.dropped",
        "{inference}",
        "Calls lost on the way, by reason.",
        "higher",
        ("reason",),
        label="calls lost",
        alert="capture",
    ),
    MetricSpec(
        "capture.refused",
        "{inference}",
        "Records that intake refused.",
        "higher",
        label="records refused",
        alert="capture",
    ),
    MetricSpec(
        "capture.undeclared",
        "{inference}",
        "Calls known by their records alone: no agent declared a count of them.",
        "higher",
        label="calls that no agent counted",
        alert="capture",
    ),
    MetricSpec(
        "capture.loss",
        "1",
        "Share of the calls seen and not sampled that are not in the archive.",
        "higher",
        (),
        0.0,
        1.0,
        label="share of the calls seen that were lost (sampling is no loss)",
        format="percent",
        alert="capture",
        clause="{value} of the inferences seen were lost",
    ),
    MetricSpec(
        "capture.coverage",
        "1",
        "Share of the calls seen that reached the archive.",
        "lower",
        (),
        0.0,
        1.0,
        label="share of the calls seen that reached the archive",
        format="percent",
        alert="capture",
        clause="{value} of the inferences reached the archive",
    ),
    MetricSpec("latency.p50", "s", "Median time of one call.", "higher", label="median latency", alert="quality"),
    MetricSpec(
        "latency.p95",
        "s",
        "95th percentile of the time of one call.",
        "higher",
        label="latency, 95th percentile",
        alert="quality",
    ),
    MetricSpec(
        "energy.active",
        "J",
        "Energy that the calls themselves used.",
        "higher",
        ("component", "input"),
        0.0,
        label="energy that calls used",
        alert="energy",
    ),
    MetricSpec(
        "energy.idle",
        "J",
        "Energy of the same process or machine that no call used.",
        "higher",
        (),
        0.0,
        label="energy used while idle",
        alert="energy",
    ),
    MetricSpec(
        "energy.per_inference",
        "J",
        "Active energy of one call, on average.",
        "higher",
        ("input",),
        0.0,
        label="energy per inference",
        alert="energy",
    ),
    MetricSpec(
        "energy.per_inference.ratio",
        "1",
        "Active energy of one call, relative to the baseline.",
        "higher",
        (),
        0.0,
        label="energy per inference relative to the baseline",
        format="times",
        alert="energy",
        clause="energy per inference is {value} the baseline",
    ),
    MetricSpec(
        "carbon.emitted",
        "kg{CO2e}",
        "Emissions of all energy counted, location-based.",
        "higher",
        (),
        0.0,
        label="emissions (location-based)",
        alert="energy",
    ),
    MetricSpec(
        "carbon.sci",
        "g{CO2e}/{R}",
        "Software Carbon Intensity of one call (ISO/IEC 21031).",
        "higher",
        (),
        0.0,
        label="Software Carbon Intensity per inference",
        alert="energy",
    ),
    MetricSpec(
        "labels.coverage",
        "1",
        "Share of records whose ground truth is known.",
        "lower",
        (),
        0.0,
        1.0,
        label="share of records with ground truth",
        format="percent",
        alert="quality",
        clause="ground truth is known for {value} of the inferences",
    ),
    MetricSpec(
        "labels.delay_p50",
        "s",
        "Median time from inference to ground truth.",
        "higher",
        label="median delay of ground truth",
        alert="quality",
    ),
)

CAPTURE_REASONS = {
    "sampled": "left out on purpose, to stay within the budget of the host",
    "queue_full": "the agent's queue was full",
    "queue_bytes": "the agent's queue held too many bytes",
    "transport_failed": "the record could not be delivered",
    "spool_full": "the spool on disk was full",
    "describe_failed": "the payload could not be described",
    "at_exit": "the process ended before delivery",
    "process_ended": "the process ended before its agent could record them",
    "refused": "intake refused the record",
    "lost_after_delivery": "delivered by the agent, and not in the archive",
    "no_destination": "the agent had no destination",
    "no_vault": "sensitive features are dropped until a vault exists",
}
"""Codes for why a call has no record, or a record was not delivered."""
REASONS: dict[str, str] = {
    **CAPTURE_REASONS,
    "no_baseline": "no baseline is pinned for this model",
    "baseline_outdated": "the baseline was pinned before this could be compared: pin it again",
    "inside_baseline": "the window lies inside the baseline, which is not compared with itself",
    "no_data": "no record in this window",
    "below_min_samples": "fewer records than the control needs",
    "unlabelled": "no ground truth has arrived for this window",
    "one_group": "only one group is present",
    "undefined": "the figure is not defined for these counts",
    "absent_in_baseline": "the baseline has no such column",
    "absent_in_window": "the window has no such column",
    "constant": "the same value throughout the window and its baseline",
    "describer_changed": "described or encoded by another version than the baseline",
    "extra_missing": "the library that computes this is not installed there",
    "open_vocabulary": "new categories are what this column is made of, in the baseline as well",
    "not_measured": "nothing reported this figure",
    "plugin_failed": "the plugin raised; its error is in the log",
    "over_limit": "the record exceeds a limit of the contract",
    "one_class": "only one class is present",
    "not_binary": "it is defined for two classes, and there are more",
    "no_country": "no country is set, so no grid intensity is known",
}
"""Codes for why a number is absent; plugins may add their own."""
