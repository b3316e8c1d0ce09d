"""Values of a column that are missing, that the baseline never had, or that are of another type than there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.facts import Facts
from auditor.core.frame import ColumnSpec, Frame
from auditor.core.identity import hash64
from auditor.core.measurement import Reading, Status
from auditor.core.presence import Presence
from auditor.core.spread import Spread
from auditor.core.state import OTHER, WindowState
from auditor.drift.compared import MIN_SAMPLES, describer_changed, effective_share
from auditor.statistics.columns import column_spec
from auditor.statistics.intervals import wilson
from auditor.statistics.nulls import rise_p

NULL, UNSEEN, TYPE = "input.null_rate", "input.unseen_rate", "input.type_changed"
OPEN = 0.01
"""Share of the baseline's values that stand there once, from which on new categories are what a column is made of."""
_DERIVED = (".confidence", ".entropy", ".residual", ".cosine", ".concordance", ".cca", ".gap")
_SERVICE = ("output.tokens.", "output.finish", "output.refused")
_KEYS = ("column", "input", "modality")


class Columns:
    """`input.null_rate`, `input.unseen_rate` and `input.type_changed` of each column of inputs, outputs and groups.

    - `input.null_rate`: share of the records that had the input (of all records, for outputs and groups) without a value
      in the column. Records without the input count for `input.missing_rate` or `input.failed_rate` instead.
    - `input.unseen_rate`: share of the values that are no category of the baseline, or lie outside its range.
    - `input.type_changed`: share of texts in a column of numbers, or of numbers in a column of texts.

    Notes
    -----
    The p-value is that of a share at most `nulls.TOLERANCE` above the baseline's (Fisher's exact test). The baseline's share
    of unseen values is estimated by leaving out one value at a time (Good 1953): a value would be unseen if it stands there
    once, or if it is the smallest or the largest number. Where the baseline's windows vary more than their rows explain, a window's rows
    count for fewer.
    """

    version = "2"
    needs_baseline = True
    by_slice = True
    metrics = (
        MetricSpec(
            NULL,
            "1",
            "Share of the records with the input whose column has no value.",
            "higher",
            _KEYS,
            0,
            1,
            label="share of records without a value",
            format="percent",
            alert=OWN_MODALITY,
            clause="{column} has no value in {value} of the inferences",
        ),
        MetricSpec(
            UNSEEN,
            "1",
            "Share of a column's values that the baseline has not, or outside its range.",
            "higher",
            _KEYS,
            0,
            1,
            label="share of values that the baseline has not",
            format="percent",
            alert=OWN_MODALITY,
            clause="{value} of the values of {column} are new or out of range",
        ),
        MetricSpec(
            TYPE,
            "1",
            "Share of a column's values of another type than the baseline's.",
            "higher",
            _KEYS,
            0,
            1,
            label="share of values of another type",
            format="percent",
            alert=OWN_MODALITY,
            clause="{value} of the values of {column} are of another type (number or text) than in the baseline",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by column, then metric."""
        if baseline is None:
            return
        now, then = _columns(current), _columns(baseline)
        for name in sorted({*now, *then}):
            if name not in now and name not in then:
                continue
            yield from _readings(name, now.get(name) or _empty(name, current), then.get(name), current, baseline, frame)


@dataclass(frozen=True, slots=True)
class _Column:
    """Values of one column in one state, by type, and the records that could have one."""

    records: int
    numbers: int = 0
    vectors: int = 0
    texts: Mapping[str, int] | None = None

    @property
    def text_count(self) -> int:
        return sum(self.texts.values()) if self.texts else 0

    @property
    def kind(self) -> str:
        """Of most values, as `compared.main_kind` has it; of no value at all, `numeric`."""
        if self.vectors:
            return "vector"
        return "numeric" if self.numbers >= self.text_count else "categorical"

    @property
    def values(self) -> int:
        return self.numbers + self.vectors + self.text_count


def _columns(state: WindowState) -> dict[str, _Column]:
    """Columns that records carry, by name; what is derived from them is left out."""
    found: dict[str, _Column] = {}
    for name in sorted({*state.numeric, *state.categorical, *state.vectors}):
        spec = column_spec(name, "numeric", state.modality)
        if spec.pair is not None or spec.detail or name.endswith(_DERIVED):
            continue
        if spec.view == "service" and not name.startswith(_SERVICE):
            continue
        texts = state.categorical[name].counts if name in state.categorical else None
        numbers = state.numeric[name].n if name in state.numeric else 0
        vectors = state.vectors[name].n if name in state.vectors else 0
        found[name] = _Column(_records(spec, state), numbers, vectors, texts)
    for place, feature in enumerate(state.cells.features):
        counts: Counter[str] = Counter()
        for (groups, _, _), count in state.cells.counts.items():
            value = groups[place]
            if value is not None:
                counts[value] += count
        found[f"groups.{feature}"] = _Column(state.n, texts=counts)
    return found


def _empty(name: str, state: WindowState) -> _Column:
    return _Column(_records(column_spec(name, "numeric", state.modality), state))


def _records(spec: ColumnSpec, state: WindowState) -> int:
    """Records in which the column could have a value."""
    if spec.input is not None:
        return (state.presence.get(spec.input) or Presence()).present
    return state.described if spec.name.startswith(("output.text.", "output.scores")) else state.n


def _readings(
    name: str, now: _Column, then: _Column | None, current: WindowState, baseline: WindowState, frame: Frame
) -> Iterator[Reading]:
    kind = (then if then is not None and then.values else now).kind
    spec = column_spec(name, kind, {**baseline.modality, **current.modality})
    attributes = spec.attributes()
    metrics = (NULL,) if kind == "vector" else (NULL, UNSEEN, TYPE)
    if then is None or not then.values:
        yield from (_no_reading(metric, "absent_in_baseline", now, attributes) for metric in metrics)
        return
    if describer_changed(spec, current, frame):
        yield from (_no_reading(metric, "describer_changed", now, attributes) for metric in metrics)
        return
    inputs = () if spec.input is None else (spec.input,)
    share = effective_share(current, inputs), effective_share(baseline, inputs)
    nulls = _clustered(frame.null_spreads.get(name), now.records, share)
    yield _rate(
        NULL, now.records - now.values, now.records, then.records - then.values, then.records, nulls, attributes
    )
    if kind == "vector":
        return
    unseen: _Unseen | str = frame.untested.get(name, "")
    unseen = unseen or (_unseen_words(now, then) if kind == "categorical" else _unseen_numbers(name, current, baseline))
    if isinstance(unseen, str):
        yield _no_reading(UNSEEN, unseen, now, attributes)
    else:
        yield _rate(
            UNSEEN, *unseen.counts, _clustered(frame.spreads.get(name), now.values, share), attributes, unseen.facts
        )
    other = (now.text_count, then.text_count) if kind == "numeric" else (now.numbers, then.numbers)
    yield _rate(TYPE, other[0], now.values, other[1], then.values, share, attributes)


def _clustered(spread: Spread | None, n: int, share: tuple[float, float]) -> tuple[float, float]:
    """The shares of independent rows, less what windows vary by; `MIN_SAMPLES` rows always count, so that a window in which every row changed is found."""
    if spread is None or not spread.dependent or not n:
        return share
    here, there = spread.independent(n)
    return max(here, min(1.0, MIN_SAMPLES / n)) * share[0], there * share[1]


def _no_reading(metric: str, reason: str, now: _Column, attributes: Mapping[str, str]) -> Reading:
    return Reading(metric=metric, status=Status.NOT_APPLICABLE, reason=reason, n=now.records, attributes=attributes)


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Unseen values and all values, now and in the baseline, and which values they are."""

    counts: tuple[int, int, int, int]
    facts: Facts = field(default_factory=dict)


def _unseen_words(now: _Column, then: _Column) -> _Unseen | str:
    """Of a column of texts. Where a state has merged its categories into `OTHER`, those that neither has merged count."""
    known, seen = then.texts or {}, now.texts or {}
    limits = [max(map(hash64, counts)) for words in (known, seen) if (counts := _unmerged(words)) and OTHER in words]
    if limits:
        known, seen = ({w: n for w, n in _unmerged(x).items() if hash64(w) <= min(limits)} for x in (known, seen))
    total = sum(known.values())
    once = sum(count == 1 for count in known.values())
    if not total or once > OPEN * total:
        return "open_vocabulary"
    new = {word: count for word, count in seen.items() if word not in known}
    largest = sorted(new, key=lambda word: (-new[word], word))
    facts = {"new_values": largest[:3], "new_values_total": len(new)} if new else {}
    return _Unseen((sum(new.values()), sum(seen.values()), once, total), facts)


def _unmerged(counts: Mapping[str, int]) -> dict[str, int]:
    return {word: count for word, count in counts.items() if word != OTHER}


def _unseen_numbers(name: str, current: WindowState, baseline: WindowState) -> _Unseen | str:
    """Of a column of numbers: values in bins of the grid below or above all of the baseline's."""
    if name not in baseline.numeric:
        return "absent_in_baseline"
    if name not in current.numeric:
        return _Unseen((0, 0, 0, 0))
    now, then = current.numeric[name], baseline.numeric[name]
    outside = (now.bins < then.bins[0]) | (now.bins > then.bins[-1])
    count = int(now.counts[outside].sum())
    low, high = then.moments.low, then.moments.high
    here = {"low": now.moments.low, "high": now.moments.high, "baseline_low": low, "baseline_high": high}
    ends = int(np.minimum([then.counts[0], then.counts[-1]], 1).sum())
    return _Unseen((count, now.n, ends, then.n), here if count else {})


def _rate(
    metric: str,
    k: int,
    n: int,
    k_baseline: int,
    n_baseline: int,
    share: tuple[float, float],
    attributes: Mapping[str, str],
    facts: Facts = MappingProxyType({}),
) -> Reading:
    if n <= 0:
        return Reading(metric=metric, status=Status.INSUFFICIENT_DATA, reason="no_data", attributes=attributes)
    k, k_baseline = min(max(k, 0), n), min(max(k_baseline, 0), n_baseline)
    counts = {"count": k, "of": n, "baseline_count": k_baseline, "baseline_of": n_baseline}
    return Reading(
        metric=metric,
        value=k / n,
        n=n,
        n_baseline=n_baseline,
        attributes=attributes,
        interval=wilson(k, n),
        p_value=rise_p(k, n, k_baseline, n_baseline, share) if n_baseline else None,
        facts={**counts, **facts},
    )


PLUGIN = Columns()
