"""Baselines that trail or follow the week, and figures recomputed from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from auditor import registry
from auditor.audit.pipeline import Pipeline
from auditor.core.errors import ConfigurationError
from auditor.core.rows import Rows
from auditor.core.window import DAY, HOUR, Span, check_kind, hour_of_week, to_us, trailing
from auditor.engines.local import PLUGIN as LOCAL
from auditor.policy.loader import PolicySet
from auditor.ports import Damage, IntakeReport
from auditor.settings import Settings
from auditor.statistics.exact import ks_of, quantile_of, wasserstein_of
from auditor.testing import make_baseline, make_rows, make_store
from auditor.testing.factories import MODEL, START

WEEK = Span(START, START + 7 * DAY)
BRIGHTNESS = {"column": "brightness", "input": "photo", "modality": "image"}


class Shelf:
    """An archive of given days."""

    def __init__(self, days: Sequence[Rows]) -> None:
        self.parts = days
        self.reads: list[Span] = []

    def models(self) -> Sequence[str]:
        return [MODEL]

    def read(self, model: str, span: Span) -> Rows:
        self.reads.append(span)
        found = [
            rows.take((rows.time_us >= to_us(span.start)) & (rows.time_us < to_us(span.end))) for rows in self.parts
        ]
        return _joined([rows for rows in found if rows.n] or [self.parts[0].take(np.zeros(0, np.int64))])

    def days(self, model: str) -> Sequence[datetime]:
        return []

    def sequence(self, model: str, span: Span) -> int:
        return 0

    def find(self, record_id: str) -> None:
        return None

    def damage(self) -> Sequence[Damage]:
        return []


class Quiet:
    """An intake that nothing arrives at."""

    def drain(self) -> IntakeReport:
        return IntakeReport()

    def acknowledge(self) -> None:
        pass


def _joined(parts: Sequence[Rows]) -> Rows:
    first = parts[0]

    def both(name: str) -> dict[str, Any]:
        return {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(first, name)}

    named = ("numeric", "categorical", "vectors", "presence", "describer", "commitment", "groups")
    plain = (
        "ids",
        "time_us",
        "version",
        "sampling",
        "described",
        "truth",
        "truth_value",
        "labelled_us",
        "energy_method",
    )
    return replace(
        first,
        **{name: both(name) for name in named},
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in plain},
    )


def day(number: int, n: int = 250, **faults: Any) -> Rows:
    return make_rows(n, 90 + number, start=START + number * DAY, **faults)


def pipeline(tmp_path: Path, days: Sequence[Rows], kind: str, span: Span = WEEK) -> Pipeline:
    built = Pipeline(
        store=make_store(),
        archive=Shelf(days),
        intake=Quiet(),
        engine=LOCAL,
        measurers={name: registry.load("drift", name) for name in ("univariate", "missingness", "sequential")},
        policies=PolicySet(),
        sinks={},
        artifacts=tmp_path,
        settings=Settings(),
        versions={},
    )
    built.pin(MODEL, span, by="Ada", at=span.end, kind=kind)
    return built


def audit(built: Pipeline, number: int, **options: Any) -> Any:
    start = START + number * DAY
    return built.audit(now=start + DAY + timedelta(hours=3), since=start, until=start + DAY, **options)


def figure(report: Any, metric: str, **attributes: str) -> Any:
    (found,) = [
        m
        for m in report.audits[-1].measurements
        if m.metric == metric and m.version is None and m.attributes == attributes
    ]
    return found


def test_a_trailing_baseline_gets_used_to_what_lasts_and_a_fixed_one_does_not(tmp_path: Path) -> None:
    """Darker for good from the eighth day on; a week later that is what the week before looks like."""
    days = [day(number, darken=1.0 if number < 7 else 0.7) for number in range(15)]
    fixed, following = pipeline(tmp_path, days, "fixed"), pipeline(tmp_path, days, "trailing")
    first = [figure(audit(built, 7), "drift.ks", **BRIGHTNESS) for built in (fixed, following)]
    assert min(m.value for m in first) > 0.4
    later = [figure(audit(built, 14), "drift.ks", **BRIGHTNESS) for built in (fixed, following)]
    assert later[0].value > 0.4
    assert later[1].value < 0.15
    assert later[1].n_baseline == 7 * 250
    wealth = figure(audit(following, 14), "drift.e_value", **BRIGHTNESS)
    assert wealth.value is None or wealth.n_baseline == 7 * 250


def test_a_seasonal_baseline_compares_sundays_with_sundays(tmp_path: Path) -> None:
    """START is a Monday; photos are darker on every Sunday, of two weeks in the baseline and the one after."""
    days = [day(number, darken=0.7 if number % 7 == 6 else 1.0) for number in range(21)]
    span = Span(START, START + 14 * DAY)
    fixed, seasonal = pipeline(tmp_path, days, "fixed", span), pipeline(tmp_path, days, "seasonal", span)
    plain, weekly = (figure(audit(built, 20), "drift.ks", **BRIGHTNESS) for built in (fixed, seasonal))
    assert plain.value > 0.4
    assert weekly.value < 0.15
    assert (plain.n_baseline, weekly.n_baseline) == (14 * 250, 2 * 250)
    assert figure(audit(seasonal, 14), "drift.ks", **BRIGHTNESS).value < 0.15
    assert not [m for m in audit(seasonal, 14).audits[0].measurements if m.metric == "drift.e_value" and m.value]


def test_a_trailing_baseline_without_records_is_none(tmp_path: Path) -> None:
    days = [*(day(number) for number in range(7)), day(30)]
    found = audit(pipeline(tmp_path, days, "trailing"), 30)
    assert found.audits[0].run.baseline is None
    assert {m.reason for m in found.audits[0].measurements if m.metric == "drift.ks"} == {"no_baseline"}


def test_pinning_again_keeps_the_history(tmp_path: Path) -> None:
    built = pipeline(tmp_path, [day(number) for number in range(9)], "fixed")
    built.pin(MODEL, WEEK, by="Bo", at=WEEK.end + HOUR, kind="trailing")
    built.pin(MODEL, WEEK, by="Cy", at=WEEK.end + 2 * HOUR, kind="seasonal")
    kept = built.store.baselines(MODEL)
    assert [(b.kind, b.by) for b in kept] == [("seasonal", "Cy"), ("trailing", "Bo"), ("fixed", "Ada")]
    assert len({b.id for b in kept}) == 3
    said = built.store.commands("baseline.pin")
    assert [c.payload["kind"] for c in said] == ["fixed", "trailing", "seasonal"]


def test_kinds_are_checked() -> None:
    for kind, span, code in (("rolling", WEEK, "bad_kind"), ("seasonal", Span(START, START + 6 * DAY), "short_season")):
        with pytest.raises(ConfigurationError) as refused:
            check_kind(kind, span)
        assert refused.value.code == code
    assert hour_of_week(START) == 0
    assert hour_of_week(START + 6 * DAY + 23 * HOUR) == 167
    assert trailing(make_baseline(span=WEEK), Span(START + 9 * DAY, START + 10 * DAY)).start == START + 2 * DAY


# -- exact -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fixed", "trailing"])
def test_figures_read_off_a_grid_are_within_their_bounds_of_the_exact_ones(tmp_path: Path, kind: str) -> None:
    days = [day(number, 900) for number in range(7)] + [day(7, 900, darken=0.8, noise_db=4.0)]
    report = audit(pipeline(tmp_path, days, kind), 7, exact=True)
    assert all(entry.holds for entry in report.exact)
    rough = [entry for entry in report.exact if entry.bound is not None]
    assert {entry.metric for entry in rough} >= {"drift.ks", "drift.wasserstein"}
    (ks,) = [entry for entry in report.exact if entry.metric == "drift.ks" and entry.attributes == BRIGHTNESS]
    before = np.concatenate([rows.numeric["inputs.photo.descriptors.brightness"] for rows in days[:7]])
    now = days[7].numeric["inputs.photo.descriptors.brightness"]
    assert ks.exact == pytest.approx(stats.ks_2samp(before, now).statistic)
    assert abs(ks.state - ks.exact) <= ks.bound
    (moved,) = [
        entry for entry in report.exact if entry.metric == "drift.wasserstein" and entry.attributes == BRIGHTNESS
    ]
    assert moved.exact == pytest.approx(stats.wasserstein_distance(before, now) / before.std(ddof=1))
    assert set(ks.as_json()) >= {"metric", "attributes", "state", "exact", "bound"}
    assert not any(entry.metric == "drift.e_value" for entry in report.exact)


def test_states_that_are_not_what_the_archive_says_are_told(tmp_path: Path) -> None:
    days = [day(number) for number in range(8)]
    built = pipeline(tmp_path, days, "fixed")
    audit(built, 7)
    built.archive.parts = [*days[:7], day(7, darken=0.5)]  # type: ignore[attr-defined]
    report = audit(built, 7, exact=True)
    off = {entry.metric for entry in report.exact if not entry.holds}
    assert "drift.ks" in off


def test_without_being_asked_nothing_is_recomputed(tmp_path: Path) -> None:
    assert audit(pipeline(tmp_path, [day(number) for number in range(8)], "fixed"), 7).exact is None


def test_exact_statistics_equal_scipys() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((1, 1), (30, 7), (500, 800)):
        x, y = rng.normal(size=n).round(1), rng.normal(0.3, 1.2, m).round(1)
        assert ks_of(x, y) == pytest.approx(stats.ks_2samp(x, y).statistic)
        assert wasserstein_of(x, y) == pytest.approx(stats.wasserstein_distance(x, y))
        assert quantile_of(x, 0.5) == np.quantile(x, 0.5, method="inverted_cdf")
