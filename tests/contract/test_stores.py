"""One body for every store: memory, SQLite and PostgreSQL answer alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.core.artifact import Artifact
from auditor.core.codec import encode_state
from auditor.core.command import Command
from auditor.core.errors import StoreError
from auditor.core.frame import ColumnSpec, Frame
from auditor.core.grid import Grid
from auditor.core.identity import uuid7
from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.projection import Projection
from auditor.core.record import CaptureTally, EnergyReading, ModelRef
from auditor.core.run import Audit, AuditRun
from auditor.core.state import CategoricalState, Presence, Tally, WindowState, empty_state
from auditor.core.verdict import AlertChange, Force, Ref, State, Word
from auditor.core.window import DAY, HOUR, Span
from auditor.ports import IndexEntry, NumberedLabel, Store
from auditor.store.sql import SqlStore
from auditor.testing import (
    make_alert,
    make_audit,
    make_baseline,
    make_label,
    make_measurement,
    make_run,
    make_store,
    make_verdict,
)

T0 = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
DAY0 = Span(T0, T0 + DAY)

examples = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        opened: Any = make_store()
    elif request.param == "sqlite":
        opened = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    else:
        opened = SqlStore(request.getfixturevalue("postgres_store_url"))
    yield opened
    opened.close()


def entry(
    name: str, digest: str = "d", *, segment: str = "s1", model: str = "m", day: str = "2026-03-02"
) -> IndexEntry:
    return IndexEntry(name, digest, model, day, segment)


def audit_of(
    run: AuditRun, *, measurements: tuple[dict, ...] = (), verdicts: tuple[dict, ...] = (), **parts: Any
) -> Audit:
    """An audit whose parts lie in the run's window."""
    common = {"model": run.model, "end": run.span.end, "revision": run.revision, "run": run.id}
    return Audit(
        run=run,
        measurements=tuple(make_measurement(**{"start": run.span.start, **common, **one}) for one in measurements),
        verdicts=tuple(make_verdict(**{"start": run.span.start, **common, **one}) for one in verdicts),
        **parts,
    )


def day_run(number: int, revision: int = 1, model: str = "m", **fields: Any) -> AuditRun:
    span = Span(T0 + number * DAY, T0 + (number + 1) * DAY)
    return make_run(id=f"{model}-{number}-{revision}", model=model, span=span, revision=revision, **fields)


# -- the record index ------------------------------------------------------------------------------------------------------


def test_a_first_claim_is_new_and_another_segment_finds_a_duplicate(store: Store) -> None:
    assert store.claim([entry("a"), entry("b")]) == ["new", "new"]
    assert store.claim([entry("a", segment="s2"), entry("c", segment="s2")]) == ["duplicate", "new"]


def test_a_drain_that_was_cut_short_claims_the_same_again(store: Store) -> None:
    store.claim([entry("a"), entry("b")])
    assert store.claim([entry("a"), entry("b"), entry("c")]) == ["new", "new", "new"]


def test_the_same_id_with_other_content_is_a_conflict_from_any_segment(store: Store) -> None:
    store.claim([entry("a")])
    assert store.claim([entry("a", "other")]) == ["conflict"]
    assert store.claim([entry("a", "other", segment="s2")]) == ["conflict"]
    assert store.locate(["a"])["m", "a"].digest == "d"


def test_inside_one_claim_the_first_wins(store: Store) -> None:
    assert store.claim([entry("a"), entry("a"), entry("a", "other")]) == ["new", "duplicate", "conflict"]
    assert store.claim([entry("a"), entry("a"), entry("a", "other")]) == ["new", "duplicate", "conflict"]


def test_ids_are_unique_within_a_model(store: Store) -> None:
    lines = [entry("twin"), entry("twin", "other", model="n"), entry("twin", "third", model="o", segment="s2")]
    assert store.claim(lines[:2]) == ["new", "new"]
    assert store.claim([lines[1]._replace(segment="s2"), lines[2]]) == ["duplicate", "new"]
    assert store.claim([entry("twin", "third", model="n")]) == ["conflict"]
    assert store.locate(["twin"]) == {line.key: line for line in lines}
    assert {model.name: model.records for model in store.models()}["n"] == 1


def test_a_lost_record_of_one_model_leaves_its_twin_alone(store: Store) -> None:
    twins = [entry("lost", model="n"), entry("lost", model="o")]
    store.claim(twins)
    store.lose([], twins[:1])
    assert list(store.locate(["lost"])) == [("o", "lost")]
    store.lose([], twins[1:])
    assert [store.lost_records(model, "2026-03-02") for model in "no"] == [[twins[0]], [twins[1]]]
    store.recover([], twins[:1])
    assert list(store.locate(["lost"])) == [("n", "lost")]
    assert store.lost_records("o", "2026-03-02") == [twins[1]]


def numbered(number: int, name: str, model: str | None = None) -> NumberedLabel:
    return NumberedLabel(number << 20, make_label(id=name, model=model, time=T0))


def test_labels_wait_for_their_records(store: Store) -> None:
    labels = [numbered(1, "u1"), numbered(2, "u2", "n"), numbered(3, "u2"), numbered(4, "u3")]
    store.keep_unsettled(labels)
    assert (store.unsettled_labels().unmatched, store.found_labels()) == (3, [])
    assert store.unsettled_labels().since == datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
    store.claim([entry("u1"), entry("u2", model="o")])
    assert {label.received for label in store.found_labels()} >= {1 << 20, 3 << 20}
    store.settle_labels([labels[0]], [labels[2]])
    store.keep_unsettled([labels[1]])
    assert store.found_labels() == []
    assert store.unsettled_labels()[:2] == (2, 1)
    store.claim([entry("u2", model="n")])
    assert store.found_labels() == [labels[1]]
    store.settle_labels([labels[1]])
    assert store.unsettled_labels()[:2] == (1, 0), "one that names its model settles what was ambiguous"
    store.keep_unsettled([numbered(9, "u1")])
    assert [label.label.id for label in store.found_labels()] == ["u1"], "its record is here already"


def test_claiming_nothing_is_nothing(store: Store) -> None:
    assert store.claim([]) == []
    assert store.locate([]) == {}


def test_locate_gives_the_lines_it_has(store: Store) -> None:
    lines = [entry(f"id-{i}", f"digest {i}", day=f"2026-03-{i % 28 + 1:02}") for i in range(3000)]
    store.claim(lines)
    assert store.locate([line.id for line in lines] + ["absent"]) == {line.key: line for line in lines}


awkward_text = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12
)  # a NUL is refused at the gate: PostgreSQL cannot keep one


@examples
@given(
    claims=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("de"), st.sampled_from("st")), max_size=6),
        max_size=6,
    ),
)
def test_claims_follow_the_model(store: Store, claims: list[list[tuple[str, str, str]]]) -> None:
    """Against the plainest reading of the port: one line an id, the first one for ever."""
    salt = uuid7()  # the store lives on from example to example
    kept: dict[str, tuple[str, str]] = {}
    for batch in claims:
        expected = []
        seen: set[str] = set()
        for name, digest, segment in batch:
            first = kept.setdefault(name, (digest, segment))
            if first[0] != digest:
                expected.append("conflict")
            else:
                expected.append("new" if first[1] == segment and name not in seen else "duplicate")
            seen.add(name)
        assert store.claim([entry(f"{salt}{n}", d, segment=s) for n, d, s in batch]) == expected
    located = store.locate([f"{salt}{name}" for name in "abc"])
    assert {name: (line.digest, line.segment) for (_, name), line in located.items()} == {
        f"{salt}{name}": line for name, line in kept.items()
    }


@examples
@given(texts=st.lists(awkward_text, min_size=4, max_size=4))
def test_index_lines_survive_any_text(store: Store, texts: list[str]) -> None:
    line = IndexEntry(*texts, segment="s\t\\N\n")
    if store.locate([line.id]):
        return
    assert store.claim([line]) == ["new"]
    assert store.locate([line.id]) == {line.key: line}


# -- readings and tallies --------------------------------------------------------------------------------------------------


def reading(hour: float, **fields: Any) -> EnergyReading:
    end = T0 + hour * HOUR
    plain: dict[str, Any] = {
        "model": ModelRef(name="m", version="1"),
        "start": end - timedelta(minutes=1),
        "end": end,
        "joules": {"cpu": 4.5, "ram": 0.25},
        "active": 3.1,
        "idle": 1.65,
        "requests": 17,
        "cpu_s": 0.2,
        "cpu_total_s": 0.4,
        "method": "modelled",
        "meter": "codecarbon",
    }
    return EnergyReading(**{**plain, **fields})


def tally(hour: float, **fields: Any) -> CaptureTally:
    end = T0 + hour * HOUR
    plain: dict[str, Any] = {
        "model": ModelRef(name="m", version="1"),
        "session": "s",
        "fork": 0,
        "start": end - timedelta(minutes=1),
        "end": end,
        "seen": 20,
        "described": 18,
        "delivered": 17,
        "dropped": {"sampled": 2, "queue_full": 1},
    }
    return CaptureTally(**{**plain, **fields})


def test_readings_come_back_whole_and_in_order(store: Store) -> None:
    readings = [reading(2.5, country="DEU", kg_co2e=1e-6), reading(1.5), reading(2.25, joules={}, session="x")]
    tallies = [tally(3.0, dropped={}, last_seq=7, closed=True), tally(0.5, model=ModelRef(name="m", encoder="clip"))]
    store.put_readings("s1", readings, tallies)
    found, counted = store.readings("m", DAY0)
    assert list(found) == [readings[1], readings[2], readings[0]]
    assert list(counted) == [tallies[1], tallies[0]]
    assert store.readings("other", DAY0) == ([], [])


def test_a_reading_belongs_to_the_span_in_which_it_was_complete(store: Store) -> None:
    store.put_readings("s1", [reading(0.0), reading(1.0), reading(2.0)], [tally(0.0), tally(1.0), tally(2.0)])
    span = Span(T0, T0 + HOUR)
    assert [one.end for one in store.readings("m", span)[0]] == [T0 + HOUR]
    assert [one.end for one in store.readings("m", span)[1]] == [T0 + HOUR]


def test_a_reading_delivered_twice_counts_once(store: Store) -> None:
    for segment in ("s1", "s1", "s2"):
        store.put_readings(segment, [reading(1.0), reading(1.0)], [tally(1.0)])
    found, counted = store.readings("m", DAY0)
    assert (len(found), len(counted)) == (1, 1)


# -- states ----------------------------------------------------------------------------------------------------------------


def hourly(hour: int, version: str | None = "1", frame: str = "f", n: int = 3, model: str = "m") -> WindowState:
    span = Span(T0 + hour * HOUR, T0 + (hour + 1) * HOUR)
    return replace(
        empty_state(model, span, frame),
        version=version,
        n=n,
        described=n,
        categorical={"output.label": CategoricalState({"7": n})},
        presence={"photo": Presence(present=n)},
        modality={"photo": "image"},
        tally=Tally(seen=n, described=n, delivered=n, dropped={"sampled": 1}),
    )


def packed(states: Sequence[WindowState]) -> list[bytes]:
    """States hold arrays, which `==` does not compare."""
    return [encode_state(state) for state in states]


def hours_of(*numbers: int) -> list[datetime]:
    return [T0 + number * HOUR for number in numbers]


def test_states_come_back_by_hour_then_version(store: Store) -> None:
    given_states = [hourly(2, "b"), hourly(1, "a"), hourly(2, "a"), hourly(2, None)]
    store.put_states("m", hours_of(1, 2, 3), "f", given_states)
    found = store.states("m", DAY0, "f")
    assert [(state.start, state.version) for state in found] == [
        (T0 + HOUR, "a"),
        (T0 + 2 * HOUR, None),
        (T0 + 2 * HOUR, "a"),
        (T0 + 2 * HOUR, "b"),
    ]
    assert packed(found) == packed([given_states[1], given_states[3], given_states[2], given_states[0]])
    assert store.hours("m", DAY0, "f") == hours_of(1, 2, 3)
    assert store.states("m", Span(T0, T0 + HOUR), "f") == []
    assert store.states("other", DAY0, "f") == []


def test_putting_replaces_the_hours_and_no_others(store: Store) -> None:
    store.put_states("m", hours_of(1, 2), "f", [hourly(1), hourly(2, "a"), hourly(2, "b")])
    store.put_states("m", hours_of(2), "f", [hourly(2, "c", n=9)])
    assert [(s.start, s.version, s.n) for s in store.states("m", DAY0, "f")] == [
        (T0 + HOUR, "1", 3),
        (T0 + 2 * HOUR, "c", 9),
    ]


def test_another_frame_drops_the_hours_states(store: Store) -> None:
    store.put_states("m", hours_of(1, 2), "f", [hourly(1), hourly(2)])
    store.put_states("m", hours_of(2), "g", [hourly(2, frame="g")])
    assert store.hours("m", DAY0, "f") == hours_of(1)
    assert store.hours("m", DAY0, "g") == hours_of(2)
    assert [s.frame for s in store.states("m", DAY0, "g")] == ["g"]
    assert [s.start for s in store.states("m", DAY0, "f")] == hours_of(1)


def test_dirty_hours_stay_dirty_until_they_are_summarised(store: Store) -> None:
    store.mark_dirty("m", [T0 + 2.5 * HOUR, T0 + HOUR, T0 + 2 * HOUR])
    store.mark_dirty("m", hours_of(1, 4))
    store.mark_dirty("n", hours_of(9))
    assert store.dirty("m") == hours_of(1, 2, 4)
    store.put_states("m", hours_of(1, 2), "f", [hourly(1)])
    assert store.dirty("m") == hours_of(4)
    assert store.dirty("n") == hours_of(9)
    store.mark_dirty("m", [])
    assert store.hours("m", DAY0, "f") == hours_of(1, 2)


def test_a_state_of_another_hour_or_frame_is_refused(store: Store) -> None:
    with pytest.raises(StoreError) as refused:
        store.put_states("m", hours_of(1), "f", [hourly(2)])
    assert refused.value.code == "state_outside_hours"
    with pytest.raises(StoreError) as refused:
        store.put_states("m", hours_of(1), "f", [hourly(1, frame="g")])
    assert refused.value.code == "frame_mismatch"
    assert store.hours("m", DAY0, "f") == []


# -- baselines -------------------------------------------------------------------------------------------------------------


def a_frame(seed: int = 0, model: str = "m") -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(
        model=model,
        columns={
            "latency_s": ColumnSpec(name="latency_s", kind="numeric", view="service", unit="s"),
            "inputs.photo.embedding": ColumnSpec(
                name="inputs.photo.embedding", kind="vector", view="embedding", input="photo", modality="image"
            ),
        },
        grids={"latency_s": Grid(np.sort(rng.exponential(size=63)), np.sort(rng.exponential(size=64)))},
        projections={
            "inputs.photo.embedding": Projection(
                rng.normal(size=5), rng.normal(size=(5, 3)), rng.normal(size=(3, 8)), rng.normal(size=8)
            )
        },
        pairs=(("clip", "photo"),),
        describers={"photo": "image/1|"},
    )


def test_the_newest_baseline_is_in_force_and_the_older_ones_are_kept(store: Store) -> None:
    assert store.baseline("m") is None
    assert store.baselines("m") == []
    pinned = []
    for number in (0, 1, 2):
        frame = a_frame(number)
        baseline = make_baseline(id=f"b{number}", model="m", frame=frame.digest, at=T0 + number * DAY)
        pinned.append((baseline, frame, hourly(number, frame=frame.digest)))
    for number in (0, 2, 1, 2):  # pinning the same again changes nothing
        store.pin(*pinned[number])
    found = store.baseline("m")
    assert found is not None
    assert found[0] == pinned[2][0]
    assert found[1].digest == pinned[2][1].digest
    assert list(found[1].columns) == list(pinned[2][1].columns)
    assert packed([found[2]]) == packed([pinned[2][2]])
    assert list(store.baselines("m")) == [pinned[number][0] for number in (2, 1, 0)]
    assert store.baseline("other") is None


def test_two_baselines_may_share_a_frame(store: Store) -> None:
    frame = a_frame()
    for number in (0, 1):
        state = hourly(number, frame=frame.digest)
        store.pin(make_baseline(id=f"b{number}", model="m", frame=frame.digest, at=T0 + number * DAY), frame, state)
    found = store.baseline("m")
    assert found is not None
    assert (found[0].id, found[1].digest, found[2].start) == ("b1", frame.digest, T0 + HOUR)


def test_a_baseline_of_another_frame_is_refused(store: Store) -> None:
    frame = a_frame()
    with pytest.raises(StoreError) as refused:
        store.pin(make_baseline(id="b", model="m", frame="f"), frame, hourly(0, frame=frame.digest))
    assert refused.value.code == "frame_mismatch"


# -- audits ----------------------------------------------------------------------------------------------------------------


def test_an_audit_comes_back_as_it_was_committed(store: Store) -> None:
    audit = make_audit()
    artifact = Artifact(
        sha256="ab" * 32,
        extension="html",
        title="Evidently",
        made_by=Method("evidently", "0.7.23"),
        model=audit.run.model,
        start=audit.run.span.start,
        end=audit.run.span.end,
        run=audit.run.id,
        size=12,
    )
    audit = replace(audit, artifacts=(artifact, artifact))
    store.commit(audit)
    model = audit.run.model
    assert list(store.runs(model)) == [audit.run]
    assert sorted(store.measurements(model), key=lambda m: m.id) == sorted(audit.measurements, key=lambda m: m.id)
    assert list(store.verdicts(model)) == list(audit.verdicts)
    assert list(store.alerts(model)) == list(audit.alerts.opened)
    assert list(store.artifacts(model)) == [artifact]


def test_committing_the_same_run_twice_is_harmless(store: Store) -> None:
    audit = make_audit()
    store.commit(audit)
    later = replace(audit.alerts.opened[0], count=2)
    store.commit(audit_of(day_run(40, model=audit.run.model), alerts=AlertChange(renewed=(later,))))
    store.commit(audit)
    assert len(store.measurements(audit.run.model)) == len(audit.measurements)
    assert list(store.alerts()) == [later]


def test_a_revision_belongs_to_one_run(store: Store) -> None:
    store.commit(audit_of(day_run(0), measurements=({"value": 0.1},)))
    with pytest.raises(StoreError) as refused:
        store.commit(audit_of(replace(day_run(0), id="another"), measurements=({"value": 0.2},)))
    assert refused.value.code == "revision_taken"
    assert [m.value for m in store.measurements("m")] == [0.1]


def test_two_figures_with_one_id_are_refused_whole(store: Store) -> None:
    with pytest.raises(StoreError) as refused:
        store.commit(audit_of(day_run(0), measurements=({"value": 0.1, "id": "x"}, {"value": 0.2, "id": "x"})))
    assert refused.value.code == "duplicate_id"
    with pytest.raises(StoreError) as refused:
        store.commit(audit_of(day_run(0), measurements=({"run": "another"},)))
    assert refused.value.code == "foreign_part"
    assert store.runs("m") == []
    assert store.measurements("m") == []


def test_the_newest_revision_of_each_window_is_shown(store: Store) -> None:
    figures = {(0, 1): 0.1, (1, 1): 0.2, (0, 3): 0.3, (0, 2): 0.4}
    for (day, revision), value in figures.items():
        store.commit(
            audit_of(day_run(day, revision), measurements=({"value": value},), verdicts=({"observed": value},))
        )
    assert [(run.span.start, run.revision) for run in store.runs("m")] == [(T0, 3), (T0 + DAY, 1)]
    assert [m.value for m in store.measurements("m")] == [0.3, 0.2]
    assert [v.observed for v in store.verdicts("m")] == [0.3, 0.2]


def test_a_newer_revision_hides_figures_that_it_lacks(store: Store) -> None:
    store.commit(audit_of(day_run(0, 1), measurements=({}, {"metric": "drift.psi"}), verdicts=({},)))
    store.commit(audit_of(day_run(0, 2), measurements=({},)))
    assert [m.metric for m in store.measurements("m")] == ["drift.ks"]
    assert store.verdicts("m") == []


def test_figures_of_a_longer_window_belong_to_their_run(store: Store) -> None:
    week = {"start": T0 - 6 * DAY, "metric": "energy.active", "unit": "J"}
    store.commit(audit_of(day_run(0, 1), measurements=({}, {**week, "value": 1.0})))
    store.commit(audit_of(day_run(0, 2), measurements=({}, {**week, "value": 2.0})))
    assert [m.value for m in store.measurements("m", metric="energy.active")] == [2.0]
    assert [m.metric for m in store.measurements("m", span=DAY0)] == ["drift.ks"]


def test_measurements_are_chosen_by_metric_window_and_version(store: Store) -> None:
    names = ("drift.ks", "drift.psi", "drifting", "quality.accuracy", "DRIFT.KS")
    for day in (0, 1, 2):
        both = [{"metric": name, "version": version} for name in names for version in (None, "1", "2")]
        store.commit(audit_of(day_run(day), measurements=tuple(both)))

    def found(**wanted: Any) -> list[tuple[str, str | None, int]]:
        return [(m.metric, m.version, (m.start - T0) // DAY) for m in store.measurements("m", **wanted)]

    day1 = Span(T0 + DAY, T0 + 2 * DAY)
    assert found(metric="drift.ks") == [("drift.ks", None, day) for day in (0, 1, 2)]
    assert found(metric="drift.", span=day1) == [("drift.ks", None, 1), ("drift.psi", None, 1)]
    assert found(metric="drift.ks", span=day1, version="2") == [("drift.ks", "2", 1)]
    assert len(found(metric="drift.ks", span=day1, all_versions=True)) == 3
    assert len(found()) == 15
    assert found(span=Span(T0 + DAY, T0 + 2 * DAY - timedelta(seconds=1))) == []
    assert found(metric="drift") == []
    assert store.measurements("other") == []


def test_measurements_come_by_start_then_series(store: Store) -> None:
    columns = ("b", "a", "Z", "é", "_")
    for day in (1, 0):
        store.commit(audit_of(day_run(day), measurements=tuple({"attributes": {"column": c}} for c in columns)))
    found = store.measurements("m")
    assert [(m.start, m.series) for m in found] == sorted((m.start, m.series) for m in found)


def test_verdicts_are_chosen_by_control_and_window(store: Store) -> None:
    for day in (0, 1):
        both = tuple({"control": control, "slice": part} for control in ("b", "a") for part in ("site=x", "overall"))
        store.commit(audit_of(day_run(day), verdicts=both))
    assert [(v.control, v.slice) for v in store.verdicts("m", span=DAY0)] == [
        ("a", "overall"),
        ("a", "site=x"),
        ("b", "overall"),
        ("b", "site=x"),
    ]
    assert [v.start for v in store.verdicts("m", control="a")] == [T0, T0, T0 + DAY, T0 + DAY]


def test_last_verdicts_are_the_newest_of_each_series_before_a_moment(store: Store) -> None:
    for day, revision in ((0, 1), (1, 1), (1, 2), (2, 1)):
        series = [{"control": "a"}, {"control": "a", "input": "clip"}, {"control": "a", "input": None}]
        if day == 0:
            series.append({"control": "gone"})
        verdicts = tuple({"observed": day + revision / 10, **one} for one in series)
        store.commit(audit_of(day_run(day, revision), verdicts=verdicts))
    found = store.last_verdicts("m", T0 + 2 * DAY)
    assert [(v.control, v.input, v.observed) for v in found] == [
        ("gone", "photo", 0.1),
        ("a", None, 1.2),
        ("a", "clip", 1.2),
        ("a", "photo", 1.2),
    ]
    assert store.last_verdicts("m", T0 + DAY - timedelta(seconds=1)) == []
    assert {v.observed for v in store.last_verdicts("m", T0 + 99 * DAY)} == {0.1, 2.1}


def test_alerts_open_renew_and_resolve(store: Store) -> None:
    first = make_alert(id="1", model="m", opened=T0 + DAY)
    other = make_alert(id="2", model="n", opened=T0 + 2 * DAY)
    store.commit(audit_of(day_run(0), alerts=AlertChange(opened=(first,))))
    store.commit(audit_of(day_run(1, model="n"), alerts=AlertChange(opened=(other,))))
    renewed = replace(first, renewed=T0 + 2 * DAY, count=2)
    store.commit(audit_of(day_run(1), alerts=AlertChange(renewed=(renewed,))))
    assert list(store.alerts("m", state="open")) == [renewed]
    resolved = replace(renewed, state="resolved", resolved=T0 + 3 * DAY)
    store.commit(audit_of(day_run(2), alerts=AlertChange(resolved=(resolved,))))
    assert store.alerts("m", state="open") == []
    assert list(store.alerts()) == [resolved, other]
    assert list(store.alerts(state="open")) == [other]
    assert list(store.alerts(span=Span(T0, T0 + 2 * DAY))) == [resolved]
    assert list(store.alerts("n", span=Span(T0, T0 + 2 * DAY))) == []


def test_a_command_is_kept_once(store: Store) -> None:
    said = Command(id="c1", kind="baseline.pin", by="ada", at=T0, payload={"model": "m", "notes": ["ü", None, 1.5]})
    assert store.log_command(said)
    assert not store.log_command(replace(said, by="eve"))
    assert store.log_command(replace(said, id="c0", kind="attest", at=T0 + HOUR))
    assert [(c.id, c.by) for c in store.commands()] == [("c1", "ada"), ("c0", "ada")]
    assert store.commands("baseline.pin") == [said]


# -- models ----------------------------------------------------------------------------------------------------------------


def test_models_are_known_from_their_records_before_any_audit(store: Store) -> None:
    assert store.models() == []
    store.claim([entry("a", day="2026-03-04"), entry("b", day="2026-03-02"), entry("c", model="n")])
    store.claim([entry("d", segment="s2", day="2026-03-09"), entry("a", segment="s2")])
    store.put_states("m", hours_of(1), "f", [hourly(1, "2.0"), hourly(1, ""), hourly(1, None)])
    store.commit(audit_of(day_run(0, records=400), measurements=({"version": "1.0"}, {})))
    first, second = store.models()
    assert (first.name, first.records, tuple(first.versions)) == ("m", 3, ("1.0", "2.0"))
    assert (first.first, first.last) == (T0, T0 + 8 * DAY)
    assert (second.name, second.records, tuple(second.versions)) == ("n", 1, ())


def test_versions_of_a_span_say_when_each_was_first_seen(store: Store) -> None:
    hours = hours_of(*range(40))
    kinds = {0: ("1", None), 1: ("1", ""), 30: ("1", "2"), 39: ("3",)}
    states = [hourly(hour, version) for hour, versions in kinds.items() for version in versions]
    store.put_states("m", hours, "f", [*states, hourly(5, "idle", n=0)])

    def seen(first: int, last: int) -> list[tuple[str, int]]:
        found = store.versions("m", Span(T0 + first * HOUR, T0 + last * HOUR))
        return [(version, (at - T0) // HOUR) for version, at in found.items()]

    assert seen(24, 48) == [("1", 0), ("2", 30), ("3", 39)]
    assert seen(24, 39) == [("1", 0), ("2", 30)]
    assert seen(2, 24) == []
    assert store.versions("n", Span(T0, T0 + DAY)) == {}


def test_a_model_without_index_is_known_from_its_audits(store: Store) -> None:
    for day, revision in ((1, 1), (0, 1), (0, 2)):
        store.commit(audit_of(day_run(day, revision, records=100 + revision)))
    (only,) = store.models()
    assert (only.records, only.first, only.last) == (203, T0, T0 + 2 * DAY)


# -- round trips -----------------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
moments = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(timezone(timedelta(hours=5))),
)
counts = st.integers(0, 2**53)


@st.composite
def intervals(draw: Callable[..., Any]) -> Interval:
    lower, upper = sorted((draw(finite), draw(finite)))
    return Interval(lower, upper, draw(st.floats(0, 1)), draw(text))


@st.composite
def figures(draw: Callable[..., Any]) -> Measurement:
    status = draw(st.sampled_from(Status))
    start = draw(moments)
    return Measurement(
        id=draw(st.uuids()).hex,
        metric=draw(text),
        value=draw(finite) if status is Status.OK else None,
        unit=draw(text),
        status=status,
        reason=draw(text) or "r",
        model="m",
        version=None,
        start=start,
        end=start + draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=400))),
        revision=1,
        n=draw(counts),
        n_baseline=draw(st.none() | counts),
        baseline=draw(st.none() | text),
        attributes=draw(st.dictionaries(text, text, max_size=4)),
        interval=draw(st.none() | intervals()),
        p_value=draw(st.none() | st.floats(0, 1)),
        method=Method(draw(text), draw(text)),
        how=draw(st.sampled_from(How)),
        exact=draw(st.booleans()),
        bound=draw(st.none() | finite),
        run="",
        recorded=draw(moments),
        facts=draw(
            st.dictionaries(text, st.none() | text | st.integers(-9, 9) | st.lists(text, max_size=2), max_size=3)
        ),
    )


def bits(value: float | None) -> bytes | None:
    return None if value is None else np.float64(value).tobytes()


@examples
@given(figure=figures(), refs=st.lists(st.builds(Ref, text, text, text), max_size=3))
def test_every_figure_and_verdict_survives_the_round_trip(store: Store, figure: Measurement, refs: list[Ref]) -> None:
    model = f"model {uuid7()}"
    run = day_run(0, model=model)
    given_one = replace(figure, model=model, run=run.id)
    verdict = make_verdict(
        model=model,
        start=figure.start,
        refs=tuple(refs),
        observed=figure.value,
        limit=figure.bound,
        explanation=figure.metric,
        evidence=(figure.id, figure.metric),
        verdict=Word.INSUFFICIENT_EVIDENCE,
        underlying=Word.FAIL,
        force=Force.READINESS,
        state=State.RECOVERING,
        held_since=None,
        budget_share=None,
        modality=None,
        n=figure.n,
        run=run.id,
        revision=1,
    )
    store.commit(Audit(run=run, measurements=(given_one,), verdicts=(verdict,)))
    (found,) = store.measurements(model)
    assert found == given_one
    assert found.as_json() == given_one.as_json()
    assert list(store.verdicts(model)) == [verdict]
    assert list(store.runs(model)) == [run]


def test_the_extremes_of_a_float_survive(store: Store) -> None:
    values = (0.0, 5e-324, 1.7976931348623157e308, math.pi, 1 / 3, 1e16, -1e-300)
    for number, value in enumerate(values):
        interval = Interval(min(value, 0.0), max(value, 0.0), 0.95, "none")
        store.commit(audit_of(day_run(number), measurements=({"value": value, "interval": interval, "bound": value},)))
    found = store.measurements("m")
    assert [bits(m.value) for m in found] == [bits(value) for value in values]
    assert all(isinstance(m.interval.upper, float) for m in found if m.interval)
    assert [m.interval for m in found] == [Interval(min(v, 0.0), max(v, 0.0), 0.95, "none") for v in values]
