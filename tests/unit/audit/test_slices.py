"""States of declared slices: their records and no others, merged in any order, and the drift of one among many."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from auditor.audit.measure import measure
from auditor.audit.monitoring import follow
from auditor.audit.slices import judged_by_slice, outdated, slices_of, with_slices
from auditor.audit.summarise import fit_frame, summarise
from auditor.core.codec import decode_state, encode_state, state_digest
from auditor.core.frame import Frame
from auditor.core.rows import Rows
from auditor.core.state import merge_all
from auditor.core.window import DAY, HOUR, Baseline, Span
from auditor.registry import available, load
from auditor.statistics.slices import MAX_GROUPS
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows, make_state

BRIGHTNESS = "inputs.photo.descriptors.brightness"


def _scanned(n: int, seed: int, scanners: int = 12, *, start: object = START, darker: str = "") -> Rows:
    rows = make_rows(n, seed, start=start)
    names = np.array([f"S{i % scanners + 1}" for i in range(n)], object)
    brightness = np.where(names == darker, rows.numeric[BRIGHTNESS] * 0.7, rows.numeric[BRIGHTNESS])
    return replace(rows, groups={"scanner": names}, numeric={**rows.numeric, BRIGHTNESS: brightness})


def _frame(rows: Rows) -> Frame:
    return with_slices(fit_frame(rows), rows, ["scanner"])


def test_a_slice_is_the_state_of_its_records() -> None:
    rows = _scanned(600, 1)
    frame = _frame(rows)
    state = make_state(rows, frame)
    assert sorted(state.slices) == sorted(f"scanner=S{i}" for i in range(1, 13))
    assert sum(part.n for part in state.slices.values()) == state.n
    alone = make_state(rows.take(np.flatnonzero(rows.groups["scanner"] == "S7")), replace(frame, slices={}))
    own = state.slices["scanner=S7"]
    assert own.numeric[BRIGHTNESS].moments == pytest.approx(alone.numeric[BRIGHTNESS].moments)
    assert own.sample.ids.tolist() == alone.sample.ids.tolist()


def test_slices_survive_merging_and_storing() -> None:
    rows = _scanned(600, 1)
    frame = _frame(rows)
    span = Span(START, START + DAY)
    hours = [state for tile in span.tiles(HOUR) for state in summarise(rows, frame, tile)]
    merged, whole = merge_all(hours), merge_all(summarise(rows, frame, span))
    for name, part in whole.slices.items():
        assert merged.slices[name].n == part.n
        assert merged.slices[name].sample.ids.tolist() == part.sample.ids.tolist()
        assert merged.slices[name].reliability.n == part.reliability.n
    back = decode_state(encode_state(merged))
    assert state_digest(back) == state_digest(merged)
    assert Frame.from_json(frame.as_json()).digest == frame.digest != fit_frame(rows).digest


@pytest.mark.parametrize("named", ["other", "S900"])
def test_groups_beyond_the_largest_are_counted_together(named: str) -> None:
    rows = _scanned(2000, 1, MAX_GROUPS + 20)
    rows.groups["scanner"][:100] = named
    state = make_state(rows, _frame(rows))
    other = "scanner=other (merged)" if named == "other" else "scanner=other"
    assert len(state.slices) == MAX_GROUPS + 1
    assert state.slices[other].n > 300
    assert sum(part.n for part in state.slices.values()) == 2000


def test_records_without_the_feature_are_a_slice() -> None:
    rows = _scanned(400, 1)
    frame = _frame(rows)
    later = replace(_scanned(200, 2), groups={})
    state = make_state(later, frame)
    assert {name: part.n for name, part in state.slices.items()} == {"scanner=other": 200}


def test_one_of_twelve_scanners_is_found_and_the_others_are_not() -> None:
    week = replace(_scanned(4200, 1), model="m")
    frame = _frame(week)
    reference = make_state(week, frame)
    pinned = Baseline(
        id="b",
        model="m",
        span=Span(START, START + DAY),
        frame=frame.digest,
        n=week.n,
        versions=("1",),
        by="t",
        at=START,
    )
    drift = judged_by_slice(available("drift", {"univariate", "columns", "kernel"}))
    assert sorted(drift) == ["columns", "univariate"]
    monitor = load("drift", "sequential")
    known: dict[str, object] = {}
    won: dict[str, float] = {}
    for number in range(1, 4):
        span = Span(START + number * DAY, START + (number + 1) * DAY)
        day = replace(_scanned(600, 10 + number, start=span.start, darker="S7"), model="m")
        window = make_state(day, frame)
        for part in slices_of(window, (pinned, frame, reference)):
            found = measure(
                part.window,
                part.baseline,
                frame,
                drift,
                span=span,
                run="r",
                revision=1,
                recorded=span.end,
                attributes=part.attributes,
            )
            assert found
            assert {m.attributes["group"] for m in found} == {part.name.removeprefix("scanner=")}
            assert not any(m.metric.startswith("capture.") for m in found)
            known[part.name], bets = follow(
                "sequential",
                monitor,
                known.get(part.name),
                part.window,
                part.baseline,
                span=span,
                before=None,
                run="r",
                revision=1,
                recorded=span.end,
                attributes=part.attributes,
            )
            won[part.name] = max(m.value or 0.0 for m in bets if m.attributes.get("column") == "brightness")
    assert won["scanner=S7"] > 1e6
    assert max(value for name, value in won.items() if name != "scanner=S7") < 1e4


def test_a_feature_declared_after_the_baseline_is_named() -> None:
    rows = _scanned(100, 1)
    context = {
        "model": "m", "version": None, "span": Span(START, START + timedelta(days=1)), "revision": 1, "run": "r",
        "baseline": "b", "recorded": START,
    }  # fmt: skip
    (reading,) = outdated(_frame(rows), ["scanner", "site"], 5, **context)
    assert (reading.reason, reading.attributes) == ("baseline_outdated", {"feature": "site"})
