"""The latest measurements as Prometheus text: names with `auditor_`, dots as `_`, the unit as suffix."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.core.measurement import Measurement, Status

SUFFIX = {"J": "_joules", "s": "_seconds", "kg{CO2e}": "_kg"}
"""Suffix of a unit; `_ratio` stands for the unit 1, and units that Prometheus has no word for get none."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(measurements: Iterable[Measurement]) -> str:
    """Text exposition format (version 0.0.4) of the newest figure of each series; absent figures are left out.

    Labels are the measurement's attributes with `model` and, for the figures of one version, `version`; those of all versions
    together carry none. Beside each stands `auditor_window_end_seconds`, the end of the model's newest window.
    """
    newest: dict[tuple[str, str], Measurement] = {}
    ends: dict[str, float] = {}
    for found in measurements:
        ends[found.model] = max(ends.get(found.model, 0.0), found.end.timestamp())
        key = found.model, found.series
        if key not in newest or (found.end, found.revision) > (newest[key].end, newest[key].revision):
            newest[key] = found
    families: dict[str, list[str]] = {}
    for _, found in sorted(newest.items()):
        # A figure that is absent now has no value now: the older one is not shown in its place.
        if found.status is Status.OK and found.value is not None:
            name = metric_name(found.metric, found.unit)
            families.setdefault(name, []).append(f"{name}{_labels(found)} {found.value!r}")
    lines = []
    for name, samples in sorted(families.items()):
        lines += [f"# TYPE {name} gauge", *samples]
    if ends:
        lines.append("# TYPE auditor_window_end_seconds gauge")
        lines += [
            f'auditor_window_end_seconds{{model="{_escape(model)}"}} {end!r}' for model, end in sorted(ends.items())
        ]
    return "".join(line + "\n" for line in lines)


def metric_name(metric: str, unit: str) -> str:
    """The name under which Prometheus knows a metric.

    >>> metric_name("energy.per_inference", "J"), metric_name("drift.ks", "1"), metric_name("capture.seen", "{inference}")
    ('auditor_energy_per_inference_joules', 'auditor_drift_ks_ratio', 'auditor_capture_seen')
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in f"auditor_{metric}")
    suffix = SUFFIX.get(unit, "_ratio" if unit == "1" else "")
    return plain if plain.endswith(suffix) else plain + suffix


def _labels(found: Measurement) -> str:
    labels = {**found.attributes, "model": found.model}
    if found.version is not None:
        labels["version"] = found.version
    return "{" + ",".join(f'{_label_name(key)}="{_escape(value)}"' for key, value in sorted(labels.items())) + "}"


def _label_name(key: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in key)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
