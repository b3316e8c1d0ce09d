"""How often an input is not there, or cannot be described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    the baseline knows. It counts as failed when its description ended with an error; `input.failed_rate` with the
    attribute `reason` is the share of one error code (`extra_missing`: the library is not installed on that host). The
    p-value is Fisher's exact test against the baseline, one-sided: more often than before.
    """

    version = "1"
    needs_baseline = False
    by_slice = True
    metrics = (
        MetricSpec(
            "input.missing_rate",
            "1",
            "Share of records without the input.",
            "higher",
            _KEYS,
            0,
            1,
            label="share of records without this input",
            format="percent",
            alert="missing",
            clause="{input} was missing in {value} of the inferences",
        ),
        MetricSpec(
            "input.failed_rate",
            "1",
            "Share of records whose input could not be described.",
            "higher",
            (*_KEYS, "reason"),
            0,
            1,
            label="share of records whose input could not be described",
            format="percent",
            alert="missing",
            clause="{input} could not be described in {value} of the inferences",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by input, then metric, then reason; without a baseline they carry no p-value."""
        known = dict(baseline.presence) if baseline is not None else {}
        for name in sorted({*current.presence, *known}):
            now = current.presence.get(name) or Presence(absent=current.described)
            then = known.get(name)
            modality = current.modality.get(name) or (baseline.modality.get(name) if baseline else None)
            attributes = {"input": name, **({"modality": modality} if modality else {})}
            before = (then.missing + then.absent, then.failed, then.total) if then is not None else (0, 0, 0)
            yield _rate("input.missing_rate", now.missing + now.absent, now.total, before[0], before[2], attributes)
            yield _rate("input.failed_rate", now.failed, now.total, before[1], before[2], attributes)
            for reason in sorted({*now.reasons, *(then.reasons if then is not None else ())}):
                k = then.reasons.get(reason, 0) if then is not None else 0
                own = {**attributes, "reason": reason}
                yield _rate("input.failed_rate", now.reasons.get(reason, 0), now.total, k, before[2], own)


def _rate(metric: str, k: int, n: int, k_baseline: int, n_baseline: int, attributes: Mapping[str, str]) -> Reading:
    if n == 0:
        return Reading(metric=metric, status=Status.INSUFFICIENT_DATA, reason="no_data", attributes=attributes)
    before = {"baseline_count": k_baseline, "baseline_of": n_baseline} if n_baseline else {}
    return Reading(
        metric=metric,
        value=k / n,
        n=n,
        n_baseline=n_baseline or None,
        attributes=attributes,
        interval=wilson(k, n),
        p_value=fisher_exact(k, n, k_baseline, n_baseline, "greater") if n_baseline else None,
        facts={"count": k, "of": n, **before},
    )


PLUGIN = Missingness()
