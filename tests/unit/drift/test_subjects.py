"""With subjects, bets are on one row of each subject and window; without, rows of one subject stand for the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditor.audit.summarise import summarise
from auditor.core.frame import Frame
from auditor.core.monitor import MonitorState, decode_monitor, encode_monitor
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, to_us
from auditor.drift.columns import PLUGIN as COLUMNS
from auditor.drift.sequential import PLUGIN
from auditor.statistics.framing import fit_frame
from auditor.testing.factories import START

WHOLE = Span(START, START + 14 * DAY)


def days(
    first: int, count: int, rng: np.random.Generator, *, subjects: bool = True, shift: float = 0.0, new: bool = False
) -> Rows:
    """100 rows a day, of which five users of the day wrote 40, each always about the same value; the others wrote one each."""
    n = 100
    level = rng.normal(size=(count, 5))
    who = np.where(rng.random((count, n)) < 0.4, rng.integers(0, 5, (count, n)), -1)
    x = np.where(who >= 0, np.take_along_axis(level, np.maximum(who, 0), 1), rng.normal(size=(count, n))) + shift
    day = first + np.arange(count)[:, None]
    names = np.where(who >= 0, 1000 * day + who, 1_000_000 + 1000 * day + np.arange(n)).ravel()
    size = count * n
    words = np.array(["a", "b", "c"], object)[np.digitize(x.ravel(), [-0.5, 0.5])]
    return Rows(
        model="m",
        ids=np.array([f"{first}-{i:06d}" for i in range(size)], object),
        time_us=to_us(START + first * DAY) + np.arange(size) * (86_400_000_000 // n),
        version=np.full(size, "1", object),
        sampling=np.ones(size),
        described=np.ones(size, bool),
        numeric={"inputs.form.descriptors.x": x.ravel()},
        categorical={"inputs.form.descriptors.word": np.full(size, "new", object) if new else words},
        presence={"form": np.ones(size, np.int8)},
        modality={"form": "tabular"},
        describer={"form": np.full(size, "tabular/1|", object)},
        truth=np.full(size, None, object),
        truth_value=np.full(size, np.nan),
        labelled_us=np.full(size, -1),
        subject=names.astype(str).astype(object) if subjects else None,
    )


def follow(rng: np.random.Generator, count: int, **change: object) -> tuple[MonitorState, Frame]:
    rows = days(0, 14, rng, subjects=bool(change.get("subjects", True)))
    frame = fit_frame(rows, span=WHOLE)
    reference = summarise(rows, frame, WHOLE)[0]
    state = PLUGIN.begin(reference, frame, pinned="b", at=WHOLE.end)
    for day in range(14, 14 + count):
        span = Span(START + day * DAY, START + (day + 1) * DAY)
        window = summarise(days(day, 1, rng, **change), frame, span)[0]  # type: ignore[arg-type]
        state = PLUGIN.bet(state, window, reference, frame, span)
    return state, frame


def test_a_subject_is_bet_on_once_a_window() -> None:
    state, frame = follow(np.random.default_rng(0), 3)
    assert set(frame.by_subject) == set(state.bets)
    assert all(bets.by_subject and 3 * 55 < bets.n < 3 * 75 for bets in state.bets.values())
    assert decode_monitor(encode_monitor(state)).bets.keys() == state.bets.keys()
    again = Frame.from_json(frame.as_json())
    assert again.digest == frame.digest
    assert (
        again.by_subject["inputs.form.descriptors.x"].counts.sum()
        < frame.spreads["inputs.form.descriptors.x"].rows.sum()
    )


def test_without_subjects_nothing_is_chosen() -> None:
    state, frame = follow(np.random.default_rng(0), 3, subjects=False)
    assert not frame.by_subject
    assert all(bets.n == 300 and not bets.by_subject for bets in state.bets.values())


def test_users_who_repeat_themselves_win_nothing() -> None:
    highest = max(
        bets.log_wealth for seed in range(4) for bets in follow(np.random.default_rng(seed), 20)[0].bets.values()
    )
    assert highest < 9


@pytest.mark.parametrize("change", [{"shift": 1.0}, {"new": True}])
def test_a_change_is_found_among_subjects(change: dict[str, object]) -> None:
    state, _ = follow(np.random.default_rng(1), 3, **change)
    assert max(bets.log_wealth for bets in state.bets.values()) > 13


def test_a_part_of_the_baseline_keeps_all_of_its_rows() -> None:
    """Which rows stand for their subject is known for the whole baseline only."""
    rows = days(0, 14, np.random.default_rng(0))
    frame = fit_frame(rows, span=WHOLE)
    half = Span(START, START + 7 * DAY)
    state = PLUGIN.begin(summarise(rows, frame, half)[0], frame, pinned="b", at=WHOLE.end)
    assert not any(bets.by_subject for bets in state.bets.values())


def test_the_sample_names_subjects_by_their_hash_alone() -> None:
    rows = days(0, 1, np.random.default_rng(0))
    span = Span(START, START + DAY)
    sample = summarise(rows, fit_frame(rows, span=span), span)[0].sample
    assert len(set(sample.numeric["subject"].tolist())) == len(
        set((rows.subject if rows.subject is not None else np.empty(0)).tolist())
    )
    bare = summarise(replace(rows, subject=None), fit_frame(rows, span=span), span)[0].sample
    assert "subject" not in bare.numeric
    assert bare.one_by_subject().all()


def test_missing_values_that_come_in_bursts_count_for_fewer_rows() -> None:
    """Of 28 days, every fourth lost 30 % of the values: one more such day is nothing, all values missing is."""
    rng = np.random.default_rng(0)
    span = Span(START, START + 28 * DAY)

    def table(first: int, count: int, lost: np.ndarray) -> Rows:
        rows = days(first, count, rng, subjects=False)
        x = rng.normal(size=rows.n)
        x[rng.random(rows.n) < np.repeat(lost, 100)] = np.nan
        return replace(rows, numeric={"inputs.form.descriptors.x": x}, categorical={})

    def p_value(bursts: bool, lost: float) -> float | None:
        rows = table(0, 28, np.where(np.arange(28) % 4 == 0, 0.3, 0.0) if bursts else np.full(28, 0.075))
        frame = fit_frame(rows, span=span)
        assert bool(frame.null_spreads) == bursts
        reference = summarise(rows, frame, span)[0]
        day = Span(span.end, span.end + DAY)
        window = summarise(table(28, 1, np.array([lost])), frame, day)[0]
        return next(r.p_value for r in COLUMNS.measure(window, reference, frame) if r.metric == "input.null_rate")

    assert p_value(True, 0.3) > 0.01  # type: ignore[operator]
    assert p_value(False, 0.3) < 1e-6  # type: ignore[operator]
    assert p_value(True, 1.0) < 1e-6  # type: ignore[operator]
