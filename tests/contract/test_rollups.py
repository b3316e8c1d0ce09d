"""States by day and month: the bytes that the hours give, whatever is kept; nothing stale, nothing lost."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.audit.summarise import fit_frame, summarise_hours
from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.rollup import merge_window, month_of
from auditor.core.state import WindowState
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.store import rollups
from auditor.store.rules import by_hour, first_seen
from auditor.store.sql import SqlStore
from auditor.testing.factories import MODEL
from auditor.testing.synthetic import make_rows

T0 = datetime.fromisoformat("2026-02-01T00:00:00+00:00")
DAYS = 66


class Hourly:
    """Hourly states and nothing else: what roll-ups must agree with."""

    def __init__(self) -> None:
        self.kept: dict[datetime, list[WindowState]] = {}

    def put_states(self, model: str, hours: Sequence[datetime], frame: str, states: Sequence[WindowState]) -> None:
        grouped = by_hour(hours, frame, states)
        self.kept.update({hour: list(together) for hour, together in grouped.items()})

    def states(self, model: str, span: Span, frame: str) -> list[WindowState]:
        return [state for hour in self.hours(model, span, frame) for state in self.kept[hour]]

    window_states = states

    def hours(self, model: str, span: Span, frame: str) -> list[datetime]:
        return [hour for hour in sorted(self.kept) if hour in span]

    def versions(self, model: str, span: Span) -> dict[str, datetime]:
        seen = [(state.version, hour, hour in span) for hour, kept in self.kept.items() for state in kept if state.n]
        return first_seen((version, hour, inside) for version, hour, inside in seen if version)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    url = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else request.getfixturevalue("postgres_store_url")
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def traffic() -> Any:
    """Two versions over 66 days, sparse, on one frame: states by day."""
    rows = [make_rows(400, seed=v, version=f"{v}.0", start=T0 + v * 20 * DAY, span=(DAYS - 20) * DAY) for v in (0, 1)]
    frame = fit_frame(rows[0])
    days = {}
    for index in range(DAYS):
        hours = [T0 + index * DAY + hour * HOUR for hour in range(24)]
        days[hours[0]] = (hours, [s for one in rows for s in summarise_hours(one, frame, hours)])
    return frame, days


def put(stores: list[Any], frame: Frame, days: Any, only: Any = None) -> None:
    for start, (hours, states) in days.items():
        if only is None or start in only:
            for store in stores:
                store.put_states(MODEL, hours, frame.digest, states)


def bytes_of(store: Any, span: Span, frame: Frame, *, small: bool = True) -> bytes:
    states = (store.window_states if small else store.states)(MODEL, span, frame.digest)
    return encode_state(merge_window(states, span))


def test_a_window_has_the_same_bytes_from_hours_days_and_months(store: SqlStore, traffic: Any) -> None:
    frame, days = traffic
    plain = Hourly()
    put([store, plain], frame, days)
    february = month_of(T0)
    spans = [
        Span(T0, T0 + DAY),
        february,
        Span(T0 + 3 * DAY, T0 + 31 * DAY),
        Span(T0 + 5 * DAY, T0 + DAYS * DAY),
        Span(T0 + 20 * DAY + 5 * HOUR, T0 + 45 * DAY + 7 * HOUR),
    ]
    for span in spans:
        assert bytes_of(store, span, frame) == bytes_of(plain, span, frame), span
    assert len(store.window_states(MODEL, february, frame.digest)) == 2, "a month is one state a version"
    # The first days' hours are gone; whoever asks for hours gets the days in their place.
    assert [state.n for state in store.states(MODEL, Span(T0, T0 + DAY), frame.digest)] == [
        merge_window(plain.states(MODEL, Span(T0, T0 + DAY), frame.digest), february).n
    ]
    assert bytes_of(store, february, frame, small=False) == bytes_of(plain, february, frame)
    seen, exact = (one.versions(MODEL, february) for one in (store, plain))
    assert list(seen) == list(exact) == ["0.0", "1.0"]
    assert seen["0.0"] == floor_to(exact["0.0"], DAY), "of a day that is rolled up, the day"
    assert seen["1.0"] == exact["1.0"]
    last = Span(T0 + (DAYS - 2) * DAY, T0 + DAYS * DAY)
    assert len(store.states(MODEL, last, frame.digest)) > 2
    assert store.hours(MODEL, february, frame.digest) == plain.hours(MODEL, february, frame.digest)


def test_a_late_record_brings_a_day_back_whose_hours_are_gone(
    store: SqlStore, traffic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, days = traffic
    monkeypatch.setattr(rollups, "KEEP_HOURS", DAY)
    first = list(days)[:4]
    put([store], frame, days, only=first)
    day, late = Span(T0, T0 + DAY), T0 + 5 * HOUR
    store.mark_dirty(MODEL, [late])
    assert store.hours(MODEL, day, frame.digest) == [], "all of the day must be summarised again"
    assert len(store.hours(MODEL, Span(T0, T0 + 2 * DAY), frame.digest)) == 24
    hours, states = days[T0]
    changed = [state for state in states if state.start != late]
    store.put_states(MODEL, hours, frame.digest, changed)
    plain = Hourly()
    put([plain], frame, days, only=first)
    plain.put_states(MODEL, hours, frame.digest, changed)
    for span in (day, month_of(T0)):
        assert bytes_of(store, span, frame) == bytes_of(plain, span, frame)


def test_half_of_a_day_whose_hours_are_gone_is_summarised_again(
    store: SqlStore, traffic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, days = traffic
    monkeypatch.setattr(rollups, "KEEP_HOURS", DAY)
    first = list(days)[:4]
    put([store], frame, days, only=first)
    half = Span(T0, T0 + 12 * HOUR)
    assert store.hours(MODEL, half, frame.digest) == []
    hours, states = days[T0]
    store.put_states(MODEL, hours[:12], frame.digest, [state for state in states if state.start < half.end])
    assert len(store.hours(MODEL, half, frame.digest)) == 12
    assert len(store.hours(MODEL, Span(T0, T0 + DAY), frame.digest)) == 12, "the other half waits"
    assert all(state.start < half.end for state in store.window_states(MODEL, Span(T0, T0 + DAY), frame.digest))


def test_hours_of_another_frame_or_unfinished_days_are_not_rolled_up(store: SqlStore, traffic: Any) -> None:
    frame, days = traffic
    put([store], frame, days, only=[T0])
    hours, states = days[T0 + DAY]
    store.put_states(MODEL, hours[:23], frame.digest, [s for s in states if s.start < hours[23]])
    span = Span(T0, T0 + 2 * DAY)
    starts = [floor_to(state.start, DAY) for state in store.window_states(MODEL, span, frame.digest)]
    assert starts.count(T0) == 1
    assert len(store.window_states(MODEL, span, frame.digest)) < len(store.states(MODEL, span, frame.digest))
    other = Frame(MODEL)
    store.put_states(MODEL, days[T0][0][:1], other.digest, [])
    assert all(state.start > T0 for state in store.window_states(MODEL, span, frame.digest))


def test_pieces_tile_the_span_with_the_largest_that_fit() -> None:
    march = month_of(T0 + 40 * DAY)
    units = [("month", march.start), ("day", march.start), ("day", march.start - DAY), ("day", march.start - 2 * DAY)]
    span = Span(march.start - 2 * DAY + HOUR, march.end + timedelta(hours=3))
    assert rollups.pieces(units, span) == [
        (Span(span.start, march.start - DAY), None),
        (Span(march.start - DAY, march.start), ("day", march.start - DAY)),
        (march, ("month", march.start)),
        (Span(march.end, span.end), None),
    ]
    assert rollups.pieces([], span) == [(span, None)]
