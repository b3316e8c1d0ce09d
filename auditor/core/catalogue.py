"""The metric names that no plugin owns, and what an alert about a metric is called.

A plugin carries the `MetricSpec`s of what it measures; `registry.catalogue()` joins them with these.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    name: str
    unit: str
    meaning: str
    worse: str = ""
    attributes: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


CORE_METRICS: tuple[MetricSpec, ...] = (
    MetricSpec("capture.seen", "{inference}", "Calls the agents saw, described or not."),
    MetricSpec("capture.described", "{inference}", "Calls whose payloads were described."),
    MetricSpec("capture.dropped", "{inference}", "Calls lost on the way, by reason.", "higher", ("reason",)),
    MetricSpec("capture.refused", "{inference}", "Records that intake refused.", "higher"),
    MetricSpec(
        "capture.undeclared",
        "{inference}",
        "Calls known by their records alone: no agent declared a count of them.",
        "higher",
    ),
    MetricSpec(
        "capture.loss",
        "1",
        "Share of the calls seen and not sampled that are not in the archive.",
        "higher",
        (),
        0.0,
        1.0,
    ),
    MetricSpec("capture.coverage", "1", "Share of the calls seen that reached the archive.", "lower", (), 0.0, 1.0),
    MetricSpec("latency.p50", "s", "Median time of one call.", "higher"),
    MetricSpec("latency.p95", "s", "95th percentile of the time of one call.", "higher"),
    MetricSpec("energy.active", "J", "Energy that the calls themselves used.", "higher", ("component", "input"), 0.0),
    MetricSpec("energy.idle", "J", "Energy of the same process or machine that no call used.", "higher", (), 0.0),
    MetricSpec("energy.per_inference", "J", "Active energy of one call, on average.", "higher", ("input",), 0.0),
    MetricSpec(
        "energy.per_inference.ratio", "1", "Active energy of one call, relative to the baseline.", "higher", (), 0.0
    ),
    MetricSpec("carbon.emitted", "kg{CO2e}", "Emissions of all energy counted, location-based.", "higher", (), 0.0),
    MetricSpec(
        "carbon.sci", "g{CO2e}/{R}", "Software Carbon Intensity of one call (ISO/IEC 21031).", "higher", (), 0.0
    ),
    MetricSpec("labels.coverage", "1", "Share of records whose ground truth is known.", "lower", (), 0.0, 1.0),
    MetricSpec("labels.delay_p50", "s", "Median time from inference to ground truth.", "higher"),
)

REASONS: dict[str, str] = {
    "no_baseline": "no baseline is pinned for this model",
    "baseline_outdated": "the baseline was pinned before this could be compared: pin it again",
    "no_data": "no record in this window",
    "below_min_samples": "fewer records than the rule needs",
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
}
"""Codes for why a number is absent; plugins may add their own."""


COLUMN_RATES = ("input.null_rate", "input.unseen_rate", "input.type_changed")
"""Rates of a column, not of an input: an alert about one is about its modality, as for drift."""


def alert_kind(metric: str, modality: str | None = None) -> str:
    """The word an alert about `metric` goes by: its modality for drift, else its family.

    >>> alert_kind("drift.ks", "image"), alert_kind("fairness.accuracy.difference"), alert_kind("input.missing_rate")
    ('image', 'bias', 'missing')
    """
    family = metric.split(".", 1)[0]
    if family == "drift" or metric in COLUMN_RATES:
        return modality or "quality"
    return {
        "alignment": "alignment",
        "input": "missing",
        "fairness": "bias",
        "energy": "energy",
        "carbon": "energy",
        "capture": "capture",
        "quality": "quality",
        "labels": "quality",
        "output": "quality",
        "canary": "quality",
        "latency": "quality",
    }.get(family, "policy")
