"""The pipeline with monitors, on a store in memory: bets once, shows again what was said, names records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from auditor import registry
from auditor.audit.pipeline import Pipeline
from auditor.audit.summarise import summarise
from auditor.core.identity import uuid7
from auditor.core.monitor import encode_monitor
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, to_us
from auditor.drift.sequential import PLUGIN
from auditor.engines.local import PLUGIN as LOCAL
from auditor.policy.loader import load_policies
from auditor.ports import Damage, IndexEntry, IntakeReport
from auditor.settings import Settings
from auditor.shipped import shipped
from auditor.testing import make_rows, make_store
from auditor.testing.factories import MODEL, START

WEEK = Span(START, START + 7 * DAY)


class Shelf:
    """An archive of given rows."""

    drain = 1

    def __init__(self, *parts: Rows) -> None:
        self.parts = list(parts)

    def models(self) -> Sequence[str]:
        return [MODEL]

    def read(self, model: str, span: Span) -> Rows:
        from auditor.testing.synthetic import make_rows as nothing

        found = [
            part.take((part.time_us >= to_us(span.start)) & (part.time_us < to_us(span.end))) for part in self.parts
        ]
        filled = [part for part in found if part.n]
        return filled[0] if filled else nothing(1).take([])  # type: ignore[arg-type]

    def days(self, model: str) -> Sequence[datetime]:
        return []

    def sequence(self, model: str, span: Span) -> int:
        return self.drain

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


def day(number: int, **faults: Any) -> Rows:
    return make_rows(300, 50 + number, start=START + number * DAY, **faults)


def pipeline(tmp_path: Path, *days: Rows) -> Pipeline:
    vocabulary = registry.vocabulary()
    built = Pipeline(
        store=make_store(),
        archive=Shelf(make_rows(2100, 1, start=START, span=7 * DAY), *days),
        intake=Quiet(),
        engine=LOCAL,
        measurers={name: registry.load("drift", name) for name in ("sequential", "univariate", "missingness")},
        policies=load_policies([shipped("policies") / "starter.yaml"], vocabulary),
        sinks={},
        artifacts=tmp_path,
        settings=Settings(),
        versions={},
    )
    built.pin(MODEL, WEEK, by="t", at=WEEK.end)
    return built


def audit(built: Pipeline, number: int, **options: Any) -> Any:
    start = START + number * DAY
    report = built.audit(now=start + DAY + timedelta(hours=3), since=start, until=start + DAY, **options)
    return report.audits[0]


def wealth(found: Any) -> dict[str, Any]:
    said = [m for m in found.measurements if m.metric == "drift.e_value" and m.value is not None]
    return {m.series: m.value for m in said}


def bet(built: Pipeline) -> Any:
    pinned = built.store.baseline(MODEL)
    assert pinned is not None
    return built.store.monitor("sequential", MODEL, pinned[0].id)


def test_auditing_again_makes_no_bet_and_shows_what_was_said(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7), day(8))
    first = audit(built, 7)
    known = bet(built)
    again = audit(built, 7)
    assert again.run.revision == 1, "the same data, figures and verdicts: nothing to add"
    assert wealth(again) == wealth(first)
    assert encode_monitor(bet(built)) == encode_monitor(known)
    audit(built, 8)
    assert wealth(audit(built, 7)) == wealth(first)
    assert bet(built).until == START + 9 * DAY


def test_a_run_cut_short_before_its_commit_says_the_same_when_it_is_run_again(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7, darken=0.8))
    whole = wealth(audit(built, 7))
    other = pipeline(tmp_path, day(7, darken=0.8))

    def fails(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    kept, other.store.commit = other.store.commit, fails  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        audit(other, 7)
    other.store.commit = kept  # type: ignore[method-assign]
    found = audit(other, 7)
    assert wealth(found) == whole
    assert found.run.revision == 1


def take_in(built: Pipeline, number: int, rows: Rows, part: NDArray[np.bool_], drain: int) -> None:
    """Records of one day arrive with a drain: all of `rows` are there from now on, those of `part` are new."""
    built.archive.parts[number - 7 + 1] = rows  # type: ignore[attr-defined]
    built.archive.drain = drain  # type: ignore[attr-defined]
    new = rows.ids[part].tolist()
    built.store.claim([IndexEntry(one, "d", MODEL, "2026-01-12", uuid7(drain)) for one in new])
    built.store.mark_dirty(MODEL, [START + number * DAY + timedelta(hours=h) for h in range(24)])


def test_late_records_are_a_batch_of_their_own_and_bet_on_once(tmp_path: Path) -> None:
    rows = day(7, darken=0.6)
    early = np.arange(rows.n) < 6
    built = pipeline(tmp_path, rows.take(early), day(8))
    take_in(built, 7, rows.take(early), np.ones(int(early.sum()), bool), 1)
    first = audit(built, 7)
    audit(built, 8)
    take_in(built, 7, rows, ~early, 5)
    again = audit(built, 7)
    assert again.run.records == rows.n
    assert max(wealth(again).values()) > 1e6 > max(wealth(first).values())
    state = bet(built)
    assert [(b.sequence, b.n) for b in state.batches][::2] == [(1, int(early.sum())), (5, int((~early).sum()))]
    assert state.late == 0

    same = audit(built, 7)
    assert same.run.revision == again.run.revision == 2
    assert encode_monitor(bet(built)) == encode_monitor(state)

    pinned = built.store.baseline(MODEL)
    assert pinned is not None
    baseline, frame, reference = pinned
    replayed = PLUGIN.begin(reference, frame, pinned=baseline.id, at=state.start)
    for part, batch in zip((rows.take(early), day(8), rows.take(~early)), state.batches, strict=True):
        window = summarise(part, frame, batch.span)[0]
        replayed = PLUGIN.bet(replayed, window, reference, frame, batch.span, sequence=batch.sequence)
    assert encode_monitor(replayed) == encode_monitor(state)


def test_a_window_that_was_empty_when_later_ones_were_bet_on_is_a_late_batch(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7), day(8), day(9))
    nothing = day(8).take(np.zeros(300, bool))
    built.archive.parts[2] = nothing  # type: ignore[attr-defined]
    audit(built, 7)
    audit(built, 9)
    dark = day(8, darken=0.5)
    take_in(built, 8, dark, np.ones(300, bool), 5)
    found = audit(built, 8)
    assert max(wealth(found).values()) > 1e6
    assert bet(built).batches[-1].n == 300


def test_late_records_of_a_window_from_before_the_log_are_not_bet_on(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7), day(8))
    audit(built, 8)
    audit(built, 7)
    take_in(built, 7, day(7), np.ones(300, bool), 5)
    known = bet(built)
    audit(built, 7)
    assert encode_monitor(bet(built)) == encode_monitor(known)


def test_a_window_before_the_last_bet_is_not_bet_on(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7), day(8))
    audit(built, 8)
    skipped = audit(built, 7)
    (silent,) = [m for m in skipped.measurements if m.metric == "drift.e_value"]
    assert (silent.reason, silent.value) == ("not_bet", None)
    assert {v.reason for v in skipped.verdicts if v.control == "input-drift"} <= {"not_bet", "never_measured"}


def test_an_alert_says_what_since_when_how_much_and_names_records(tmp_path: Path) -> None:
    dark = day(8, darken=0.5)
    built = pipeline(tmp_path, day(7), dark)
    assert not audit(built, 7).alerts.opened
    second = audit(built, 8)
    (alert,) = [a for a in second.alerts.opened if a.kind == "image"]
    assert alert.input == "photo"
    assert alert.budget_share is not None
    won = [m for m in second.measurements if m.metric == "drift.e_value" and m.value and m.value > 1e6]
    assert any("rising_since" in m.facts and m.facts["values"] == 300 for m in won)
    assert len(alert.examples) == 5
    assert set(alert.examples) <= set(dark.ids.tolist())
    place = {name: i for i, name in enumerate(dark.ids.tolist())}
    brightness = dark.numeric["inputs.photo.descriptors.brightness"]
    contrast = dark.numeric["inputs.photo.descriptors.contrast"]
    shown = [place[name] for name in alert.examples]
    assert min(brightness[shown].mean() / brightness.mean(), contrast[shown].mean() / contrast.mean()) < 0.9


def test_another_baseline_begins_another_monitor(tmp_path: Path) -> None:
    built = pipeline(tmp_path, day(7), day(8))
    audit(built, 7)
    before = bet(built)
    built.pin(MODEL, WEEK, by="t", at=WEEK.end + DAY)
    audit(built, 8)
    after = bet(built)
    assert (after.start, after.baseline != before.baseline) == (START + 8 * DAY, True)
    kept = built.store.monitor("sequential", MODEL, before.baseline)
    assert kept is not None
    assert encode_monitor(kept) == encode_monitor(before)


def test_versions_and_longer_windows_bring_no_second_reading(tmp_path: Path) -> None:
    rows = day(7)
    mixed = replace(rows, version=rows.version.copy())
    mixed.version[::2] = "2.0.0"
    found = audit(pipeline(tmp_path, mixed), 7)
    series = [m.series for m in found.measurements if m.metric == "drift.e_value"]
    assert len(series) == len(set(series)) > 5
