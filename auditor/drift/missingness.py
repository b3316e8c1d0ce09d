"""How often an input is not there, or cannot be described."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import Presence, WindowState
from auditor.statistics.intervals import wilson
from auditor.statistics.nulls import fisher_exact

_KEYS = ("input", "modality")


class Missingness:
    """`input.missing_rate` and `input.failed_rate` of each input.

    An input counts as missing when the record says so, or when the record does not mention an input that the window or
    the baseline knows. The p-value is Fisher's exact test against the baseline, one-sided: more often than before.
    """

    version = "1"
    needs_baseline = False
    metrics = (
        MetricSpec("input.missing_rate", "1", "Share of records without the input.", "higher", _KEYS, 0, 1),
        MetricSpec(
            "input.failed_rate", "1", "Share of records whose input could not be described.", "higher", _KEYS, 0, 1
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by input, then metric; without a baseline they carry no p-value."""
        known = dict(baseline.presence) if baseline is not None else {}
        for name in sorted({*current.presence, *known}):
            now = current.presence.get(name) or Presence(absent=current.described)
            modality = current.modality.get(name) or (baseline.modality.get(name) if baseline else None)
            attributes = {"input": name, **({"modality": modality} if modality else {})}
            for metric, parts in (("input.missing_rate", ("missing", "absent")), ("input.failed_rate", ("failed",))):
                yield _rate(metric, parts, now, known.get(name), attributes)


def _rate(
    metric: str, parts: tuple[str, ...], now: Presence, then: Presence | None, attributes: dict[str, str]
) -> Reading:
    k, n = _count(now, parts)
    if n == 0:
        return Reading(metric=metric, status=Status.INSUFFICIENT_DATA, reason="no_data", attributes=attributes)
    p_value, n_baseline, note = None, None, ""
    if then is not None:
        k_baseline, n_baseline = _count(then, parts)
        if n_baseline:
            p_value = fisher_exact(k, n, k_baseline, n_baseline, "greater")
            note = f"{k_baseline} of {n_baseline} in the baseline, {k} of {n} now"
    return Reading(
        metric=metric,
        value=k / n,
        n=n,
        n_baseline=n_baseline,
        attributes=attributes,
        interval=wilson(k, n),
        p_value=p_value,
        note=note or f"{k} of {n}",
    )


def _count(presence: Presence, parts: tuple[str, ...]) -> tuple[int, int]:
    """Records that count, of all."""
    total = presence.present + presence.missing + presence.failed + presence.absent
    return sum(getattr(presence, part) for part in parts), total


PLUGIN = Missingness()
