"""Figures, columns and times as a reader writes them: one form for each, in alerts, verdicts, reports and on pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from auditor.core.window import DAY, Span, utc

SHARES = (
    "input.missing_rate",
    "input.failed_rate",
    "alignment.concordance.ratio",
    "alignment.cosine.ratio",
    "capture.loss",
    "capture.coverage",
    "labels.coverage",
    "output.refusal_rate",
    "output.incomplete_rate",
    "output.invalid_rate",
    "canary.changed_share",
    "quality.accuracy",
    "quality.balanced_accuracy",
    "quality.recall",
    "quality.estimated_accuracy",
)
"""Metrics of unit 1 that readers expect as a percentage; rates of groups are as well."""

UNITS = {
    "kg{CO2e}": "kg CO2e",
    "g{CO2e}/{R}": "g CO2e per answer",
    "{inference}": "calls",
    "1": "",
}

MODALITIES = ("image", "text", "audio", "video", "tabular", "series", "point_cloud", "embedding")
"""Kinds of input, which are also the kinds of alert about the drift of one."""

METRICS = {
    "drift.ks": "distance to the baseline (Kolmogorov-Smirnov)",
    "drift.psi": "population stability index",
    "drift.jensen_shannon": "distance to the baseline (Jensen-Shannon)",
    "drift.wasserstein": "distance to the baseline (Wasserstein)",
    "drift.mmd2": "distance to the baseline (kernel MMD, squared)",
    "drift.frechet": "distance to the baseline (Frechet)",
    "drift.kid": "distance to the baseline (KID)",
    "drift.domain_auc": "how well a classifier tells window from baseline (AUC)",
    "drift.union": "distance of the column that speaks most clearly for a change",
    "drift.evidently": "drift score of Evidently",
    "drift.e_value": "evidence against no change (e-value)",
    "input.missing_rate": "share of records without this input",
    "alignment.concordance": "agreement between the two inputs",
    "alignment.concordance.ratio": "agreement between the two inputs relative to the baseline",
    "alignment.cosine": "cosine between the two embeddings",
    "alignment.cosine.ratio": "cosine between the two embeddings relative to the baseline",
    "alignment.cca": "canonical agreement between the two embeddings",
    "alignment.cca.ratio": "canonical agreement between the two embeddings relative to the baseline",
    "alignment.gap_norm": "distance between the means of the two embeddings",
    "alignment.gap_angle": "turn of the difference between the two embeddings since the baseline",
    "input.distinct_share": "share of the payloads that are distinct",
    "input.failed_rate": "share of records whose input could not be described",
    "output.refusal_rate": "share of answers that were refused",
    "output.incomplete_rate": "share of answers that broke off",
    "output.invalid_rate": "share of answers that their caller cannot use",
    "canary.changed_share": "share of canary answers that the baseline never gave",
    "quality.macro_f1": "macro-averaged F1",
    "quality.mae": "mean absolute error",
    "quality.rmse": "root mean squared error",
    "quality.bias": "mean signed error",
    "quality.wer": "word error rate",
    "quality.balanced_accuracy": "balanced accuracy",
    "quality.accuracy": "accuracy",
    "quality.estimated_accuracy": "accuracy, estimated without ground truth",
    "labels.coverage": "share of records with ground truth",
    "labels.delay_p50": "median delay of ground truth",
    "energy.active": "energy that calls used",
    "energy.idle": "energy used while idle",
    "energy.per_inference": "energy per answer",
    "energy.per_inference.ratio": "energy per answer relative to the baseline",
    "carbon.emitted": "emissions (location-based)",
    "carbon.sci": "Software Carbon Intensity per answer",
    "latency.p50": "median latency",
    "latency.p95": "latency, 95th percentile",
    "capture.seen": "calls seen",
    "capture.described": "calls described",
    "capture.dropped": "calls lost",
    "capture.loss": "share of the calls seen that were lost (sampling is no loss)",
    "capture.coverage": "share of the calls seen that reached the archive",
}
"""What readers call the metrics; families without a line here have a pattern."""

HEAD = "head."
"""Begins the columns that the model itself says about an input, beside those that the payload says."""

COLUMNS = {
    "bandwidth_hz": "bandwidth (Hz)",
    "centroid_hz": "spectral centroid (Hz)",
    "dc_offset": "DC offset",
    "floor_dbfs": "background level (dBFS)",
    "hf_share": "share of high frequencies",
    "level_dbfs": "sound level (dBFS)",
    "rolloff95_hz": "95 % roll-off frequency (Hz)",
    "snr_db": "signal-to-noise ratio (dB)",
    "zcr": "zero-crossing rate",
}
"""Descriptors whose own names only their makers read."""

_SUFFIXES = {"_hz": " (Hz)", "_db": " (dB)", "_dbfs": " (dBFS)", "_s": " (s)", "_p01": " (1st percentile)",
             "_p99": " (99th percentile)"}  # fmt: skip


def number(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits, thousands set apart, powers of ten only where zeros would not be read.

    >>> number(0.61874), number(12345), number(3.2e-12), number(0.0)
    ('0.619', '12,345', '3.2e-12', '0')
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4 or size >= 1e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = digits - 1 - math.floor(math.log10(size))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text and places > digits - 1 else text


def is_share(metric: str) -> bool:
    """Whether readers expect the metric as a percentage."""
    return metric in SHARES or (metric.startswith("fairness.") and not metric.endswith(".ratio"))


def quantity(value: float, unit: str, metric: str = "") -> str:
    """A figure with its unit as a reader writes it.

    >>> quantity(0.0425, "1", "input.missing_rate"), quantity(0.31, "1", "fairness.accuracy.difference")
    ('4.2 %', '31 percentage points')
    >>> quantity(0.0021, "J"), quantity(0.2, "s"), quantity(4.5e-5, "kg{CO2e}")
    ('0.0021 J', '200 ms', '0.045 g CO2e')
    """
    if is_share(metric):
        shown = percent(value)
        return f"{shown} percentage points" if metric.endswith(".difference") else f"{shown} %"
    if metric == "energy.per_inference.ratio":
        return f"{number(value)} times"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{number(1000 * value)} ms"
    if unit == "kg{CO2e}" and abs(value) < 1:
        return f"{number(1000 * value)} g CO2e"
    if unit == "g{CO2e}/{R}" and 0 < abs(value) < 0.01:
        return f"{number(1000 * value)} mg CO2e per answer"
    return " ".join(part for part in (number(value), UNITS.get(unit, unit)) if part)


def percent(share: float) -> str:
    """100 x share; never rounded to 0 or 100 unless it is exactly that."""
    hundredfold = 100 * share
    for places in (1, 2, 3, 4):
        text = f"{hundredfold:.{places}f}"
        if float(text) not in (0.0, 100.0) or hundredfold in (0.0, 100.0):
            return text.removesuffix(".0")
    return "under 0.0001" if share < 0.5 else "over 99.9999"


def metric_name(metric: str) -> str:
    """What a reader calls the metric.

    >>> metric_name("fairness.accuracy.difference"), metric_name("quality.top_k")
    ('largest difference in accuracy between groups', 'top k')
    """
    if metric in METRICS:
        return METRICS[metric]
    family, _, rest = metric.partition(".")
    if family == "fairness":
        stem, _, kind = rest.partition(".")
        plain = stem.replace("_", " ")
        return {
            "difference": f"largest difference in {plain} between groups",
            "ratio": f"smallest over largest {plain} of the groups",
        }.get(kind, plain)
    return rest.replace("_", " ").replace(".", ", ") if family == "quality" else metric


def span_of(low: str, high: str) -> str:
    """Two figures of one unit, the unit said once.

    >>> span_of("61 %", "78 %")
    '61 to 78 %'
    """
    unit = low.partition(" ")[2]
    if unit and high.endswith(unit):
        low = low.removesuffix(unit).rstrip()
    return f"{low} to {high}"


def column(name: str, modality: str = "") -> str:
    """A column as a reader calls it; `modality` is that of the input it belongs to.

    >>> column("snr_db"), column("brightness_p99"), column("output.entropy")
    ('signal-to-noise ratio (dB)', 'brightness (99th percentile)', 'entropy of the answer')
    >>> column("head.entropy", "audio"), column("head.scores.6")
    ("entropy of the model's audio head", "score 6 of the model's head")
    """
    if name in COLUMNS:
        return COLUMNS[name]
    if name.startswith(HEAD):
        kind = f"{modality.replace('_', ' ')} head".lstrip()
        inner = name.removeprefix(HEAD).replace("scores.", "score ").replace("_", " ")
        return f"{inner} of the model's {kind}"
    for suffix, said in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix).replace("_", " ") + said
    plain = name.replace("_", " ")
    return f"{plain.removeprefix('output.')} of the answer" if plain.startswith("output.") else plain


def column_of(attributes: Mapping[str, str]) -> str:
    """The column that a figure with these attributes is about; empty, when it is about none.

    >>> column_of({"column": "head.entropy", "input": "clip", "modality": "audio"})
    "entropy of the model's audio head"
    """
    return column(attributes.get("column", ""), attributes.get("modality", ""))


def chance(p: float, of: str = "comparison") -> str:
    """A p-value as a frequency: how often unchanged data would show as much.

    >>> chance(0.04)
    'about once in 25 comparisons'
    >>> chance(2e-11, "window")
    'less than once in a billion windows'
    >>> chance(0.7)
    'in most comparisons'
    """
    if p > 0.5:
        return f"in most {of}s"
    for limit, word in ((1e-9, "a billion"), (1e-6, "a million")):
        if p < limit:
            return f"less than once in {word} {of}s"
    times = 1 / p
    if times > 100:
        times = round(times, 1 - math.floor(math.log10(times)))
    return f"about once in {times:,.0f} {of}s"


def how_often(count: float, period: timedelta) -> str:
    """So many events in a period, as the time between two of them.

    >>> how_often(0.05, 90 * DAY), how_often(3, 90 * DAY), how_often(0, DAY)
    ('about once in 5 years', 'about once in 30 days', 'never')
    """
    if count <= 0:
        return "never"
    days = period / DAY / count
    if days >= 700:
        return f"about once in {days / 365.25:,.0f} years"
    return f"about once in {days:,.0f} days" if days >= 1.5 else "about once a day"


def moment(at: datetime) -> str:
    """A time in UTC, said so.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 11, 3, 4, 5, tzinfo=UTC))
    '3 Nov 2026, 04:05 UTC'
    """
    at = utc(at)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day(at: datetime) -> str:
    """A date.

    >>> from datetime import UTC
    >>> day(datetime(2026, 11, 3, tzinfo=UTC))
    '3 Nov 2026'
    """
    return f"{utc(at).day} {utc(at):%b %Y}"


def window(span: Span) -> str:
    """One window: the day itself where it is one, else its two ends."""
    midnight = (span.start - span.start.replace(hour=0, minute=0, second=0, microsecond=0)) == timedelta(0)
    if midnight and span.duration == DAY:
        return day(span.start)
    if midnight and span.duration % DAY == timedelta(0):
        return f"{day(span.start)} to {day(span.end - DAY)}"
    return f"{moment(span.start)} to {moment(span.end)}"


def length(duration: timedelta) -> str:
    """How long a window is.

    >>> length(DAY), length(7 * DAY), length(timedelta(hours=6))
    ('1 day', '7 days', '6 hours')
    """
    if duration % DAY == timedelta(0):
        return plural(duration // DAY, "day")
    return plural(round(duration / timedelta(hours=1)), "hour")


def plural(count: int, word: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`, `no alerts`.

    >>> plural(1, "alert"), plural(0, "alert"), plural(2, "verdict")
    ('1 alert', 'no alerts', '2 verdicts')
    """
    return f"{count:,} {word}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many or word + 's'}"


def listing(items: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, cut with a count where it is long.

    >>> listing(["a", "b", "c"]), listing(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = list(items[:most])
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)
