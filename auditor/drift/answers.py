"""What can be seen of a model behind an API from its answers alone: refusals, answers that broke off, or that nobody can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, absent
from auditor.core.state import WindowState
from auditor.drift.compared import effective_share
from auditor.statistics.intervals import wilson
from auditor.statistics.nulls import fisher_exact

COMPLETE = ("stop", "end_turn", "eos", "tool_calls", "tool_use", "function_call", "complete", "completed")
"""Words of common APIs for an answer that came to its end; any other finish reason counts as broken off."""
RATES = {
    "output.refusal_rate": "output.refused",
    "output.incomplete_rate": "output.finish",
    "output.invalid_rate": "output.text.valid",
}
"""Metrics, and the columns that they count."""


class Answers:
    """Shares of answers: `output.refusal_rate` refused, `output.incomplete_rate` broken off, `output.invalid_rate` of no use to its caller.

    From `output.refused`, `output.finish` and `output.text.valid` of the records; the last where the agent was told what an
    answer has to be (`answers=`). Numbers of tokens are ordinary columns: `drift.ks` and the
    others compare `output.tokens.output` with the baseline. The p-value is Fisher's exact test, two-sided, at the effective
    number of records.
    """

    version = "1"
    needs_baseline = False
    metrics = (
        MetricSpec(
            "output.refusal_rate",
            "1",
            "Share of answers that the model refused.",
            "higher",
            (),
            0,
            1,
            label="share of answers that were refused",
            format="percent",
            alert="quality",
        ),
        MetricSpec(
            "output.incomplete_rate",
            "1",
            "Share of answers that broke off before their end.",
            "higher",
            (),
            0,
            1,
            label="share of answers that broke off",
            format="percent",
            alert="quality",
        ),
        MetricSpec(
            "output.invalid_rate",
            "1",
            "Share of text answers that are not what their caller needs.",
            "higher",
            (),
            0,
            1,
            label="share of answers that their caller cannot use",
            format="percent",
            alert="quality",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by metric, for models whose records say so now or said so in the baseline."""
        for metric, column in RATES.items():
            now = current.categorical.get(column)
            then = baseline.categorical.get(column) if baseline is not None else None
            if now is None and then is None:
                continue
            if now is None or not now.n:
                yield absent(metric, "absent_in_window")
                continue
            k, n = _count(column, now.counts)
            p_value, n_baseline, facts = None, None, {"count": k, "of": n}
            if then is not None and baseline is not None and then.n:
                k_baseline, n_baseline = _count(column, then.counts)
                here, there = effective_share(current), effective_share(baseline)
                p_value = fisher_exact(
                    round(k * here), round(n * here), round(k_baseline * there), round(n_baseline * there)
                )
                facts |= {"baseline_count": k_baseline, "baseline_of": n_baseline}
            yield Reading(
                metric=metric,
                value=k / n,
                n=n,
                n_baseline=n_baseline,
                interval=wilson(k, n),
                p_value=p_value,
                facts=facts,
            )


def _count(column: str, counts: Mapping[str, int]) -> tuple[int, int]:
    """Records that count, of all."""
    total = sum(counts.values())
    if column != "output.finish":
        return counts.get("false" if column == "output.text.valid" else "true", 0), total
    return total - sum(count for word, count in counts.items() if word.lower() in COMPLETE), total


PLUGIN = Answers()
