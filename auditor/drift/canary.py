"""Canaries: how many of the answers to fixed prompts the baseline never heard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from auditor.core.canary import SUFFIX, canary_of
from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.identity import hash64
from auditor.core.measurement import Reading, absent
from auditor.core.state import OTHER, WindowState
from auditor.statistics.intervals import wilson
from auditor.statistics.novelty import Novelty, novelty, novelty_p

METRIC = "canary.changed_share"
COLUMN = "output.label"


class Canary:
    """`canary.changed_share`: share of a window's canary answers that the baseline never gave to the same prompt.

    Of all canaries together, and of each (attributes `feature` canary, `group` its id). The p-value is one-sided, from choosing the
    window's answers among the window's and the baseline's at random, prompt by prompt: a model that always varies is expected to say new
    things and raises no alarm by it. It takes answers to one prompt to be exchangeable. The interval takes them to be independent.

    Canaries that the baseline lacks are left out and named. Where answers vary so much that a state folds its rarest codes, the share
    is that of the answers both sides are sure to have kept: a random part, chosen by hashes.
    """

    version = "1"
    needs_baseline = False
    metrics = (
        MetricSpec(
            METRIC,
            "1",
            "Share of the answers to canary prompts that the baseline never gave.",
            "higher",
            ("feature", "group"),
            0,
            1,
            label="share of canary answers that the baseline never gave",
            format="percent",
            alert="quality",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """All together, then by canary; nothing for a model that is not watched by canaries."""
        if not current.model.endswith(SUFFIX):
            return
        column, before = current.categorical.get(COLUMN), baseline.categorical.get(COLUMN) if baseline else None
        if baseline is None or before is None:
            yield absent(METRIC, "no_baseline" if baseline is None else "absent_in_baseline", n=current.n)
            return
        if column is None or not column.n:
            yield absent(METRIC, "absent_in_window", n=current.n)
            return
        surely = min(_surely_kept(column.counts), _surely_kept(before.counts))
        now, then = _by_canary(column.counts, surely), _by_canary(before.counts, surely)
        found = {canary: novelty(now[canary], then[canary]) for canary in sorted(now) if canary in then}
        exact = surely == math.inf
        if not found:
            yield absent(METRIC, "absent_in_baseline", n=column.n)
            return
        changed = [canary for canary, part in found.items() if part.k]
        new = [canary for canary in sorted(now) if canary not in then]
        yield _reading(list(found.values()), {}, exact, changed=changed, without_baseline=new)
        for canary, part in found.items():
            yield _reading([part], {"feature": "canary", "group": canary}, exact)


def _reading(parts: list[Novelty], attributes: Mapping[str, str], exact: bool, **more: list[str]) -> Reading:
    k, n, expected = (sum(getattr(part, name) for part in parts) for name in ("k", "n", "expected"))
    return Reading(
        metric=METRIC,
        value=k / n,
        n=n,
        n_baseline=sum(part.n_baseline for part in parts),
        attributes=attributes,
        interval=wilson(k, n),
        p_value=novelty_p(parts),
        exact=exact,
        facts={
            "count": k,
            "of": n,
            "expected_by_chance": expected,
            **{key: names for key, names in more.items() if names},
        },
    )


def _surely_kept(counts: Mapping[str, int]) -> float:
    """The largest hash of a code up to which a state keeps every code."""
    return max(hash64(code) for code in counts if code != OTHER) if OTHER in counts else math.inf


def _by_canary(counts: Mapping[str, int], surely: float) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for code, count in counts.items():
        canary = canary_of(code) if code != OTHER and (surely == math.inf or hash64(code) <= surely) else None
        if canary is not None:
            found.setdefault(canary, {})[code] = count
    return found


PLUGIN = Canary()
