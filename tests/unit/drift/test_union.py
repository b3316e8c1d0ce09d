"""The four-view union, repetition, embeddings' further distances, and answers of closed models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from auditor.audit.summarise import fit_frame
from auditor.core.blocks import NumericBlock
from auditor.core.codec import decode_state, encode_state
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.rows import Rows
from auditor.core.state import CategoricalState, Payloads, WindowState, merge
from auditor.drift import (
    alignment,
    answers,
    domain_classifier,
    kernel,
    kid,
    modality_gap,
    repetition,
    union,
    univariate,
)
from auditor.testing.synthetic import make_rows, make_state, make_window

Window = tuple[WindowState, WindowState, Frame]


@pytest.fixture(scope="module")
def clean() -> Window:
    return make_window(400, 3)


def _unions(window: Window) -> dict[str, Reading]:
    return {r.attributes.get("input", "answers"): r for r in union.PLUGIN.measure(*window)}


def test_each_input_has_one_union_and_the_answers_theirs(clean: Window) -> None:
    found = _unions(clean)
    assert list(found) == ["clip", "note", "photo", "answers"]
    assert found["photo"].attributes == {"input": "photo", "modality": "image"}
    assert all(r.status is Status.OK and r.p_value > 1e-3 for r in found.values())
    assert found["photo"].facts["views"] == 4  # signal, output, embedding, uncertainty


@pytest.mark.parametrize(
    ("fault", "owner", "view"),
    [({"darken": 0.8}, "photo", "signal"), ({"noise_db": 6.0}, "clip", "signal")],
)
def test_the_view_that_changed_is_named(fault: dict[str, float], owner: str, view: str) -> None:
    found = _unions(make_window(400, 4, **fault))
    assert found[owner].p_value < 1e-9
    assert found[owner].facts["view"] == view
    assert min(r.p_value for name, r in found.items() if name not in (owner, "answers")) > 1e-3


def test_a_class_that_vanished_shows_in_the_output_or_the_embedding() -> None:
    """What descriptors cannot see: three digits are gone, pictures are as bright as ever."""
    rows = make_rows(3000, 77)
    week = rows.take(np.arange(2400))
    rest = rows.take(np.arange(2400, 3000))
    kept = rest.take(np.flatnonzero(~np.isin(rest.truth.astype(str), ["0", "1", "2"])))
    frame = fit_frame(week)
    found = _unions((make_state(kept, frame), make_state(week, frame), frame))["photo"]
    assert found.p_value < 1e-4
    assert found.facts["view"] in ("output", "embedding")


def test_a_model_of_one_input_has_its_answers_among_that_inputs_output(clean: Window) -> None:
    def alone(rows: Rows) -> Rows:
        return replace(
            rows,
            presence={"photo": rows.presence["photo"]},
            modality={"photo": "image"},
            vectors={"output.scores": rows.vectors["output.scores"]},
            numeric={k: v for k, v in rows.numeric.items() if ".photo." in k},
            categorical={"output.label": rows.categorical["output.label"]},
        )

    week = alone(make_rows(1500, 5))
    frame = fit_frame(week)
    found = _unions((make_state(alone(make_rows(300, 6)), frame), make_state(week, frame), frame))
    assert list(found) == ["photo"]
    assert found["photo"].facts["views"] == 3


def test_the_union_is_bonferroni_of_bonferroni() -> None:
    """On clean windows its smallest p-values come as often as they should, and not never."""
    p = []
    for seed in range(6):
        week = make_rows(1200, 300 + seed)
        frame = fit_frame(week)
        baseline = make_state(week, frame)
        for day in range(3):
            p += [
                r.p_value
                for r in _unions((make_state(make_rows(300, 900 + 40 * seed + day), frame), baseline, frame)).values()
            ]
    assert len(p) == 72
    assert np.mean(np.array(p) <= 0.05) <= 0.15  # three days share a baseline: wider than a binomial
    assert min(p) > 1e-5


def test_a_column_that_never_varies_takes_no_share(clean: Window) -> None:
    week = make_rows(400, 8)
    still = {"inputs.photo.descriptors.depth": np.full(400, 3.0)}
    week = replace(week, numeric={**week.numeric, **still})
    frame = fit_frame(week)
    day = make_rows(200, 9)
    day = replace(day, numeric={**day.numeric, "inputs.photo.descriptors.depth": np.full(200, 3.0)})
    window = make_state(day, frame), make_state(week, frame), frame
    (found,) = [
        r for r in univariate.PLUGIN.measure(*window) if r.metric == "drift.ks" and r.attributes["column"] == "depth"
    ]
    assert (found.status, found.reason, found.p_value) == (Status.NOT_APPLICABLE, "constant", None)
    moved = replace(day, numeric={**day.numeric, "inputs.photo.descriptors.depth": np.full(200, 4.0)})
    window = make_state(moved, frame), window[1], frame
    (found,) = [
        r for r in univariate.PLUGIN.measure(*window) if r.metric == "drift.ks" and r.attributes["column"] == "depth"
    ]
    assert (found.value, found.status) == (1.0, Status.OK)


def test_components_of_embeddings_are_series_and_classes_of_heads_are_none(clean: Window) -> None:
    columns = {r.attributes["column"] for r in univariate.PLUGIN.measure(*clean)}
    assert not {name for name in columns if "scores." in name}
    assert "embedding.c00" in columns
    assert "inputs.photo.embedding.c00" in clean[0].numeric
    assert "inputs.photo.scores.9" in clean[0].numeric


# -- repetition ---------------------------------------------------------------------------------------------------------


def _again(rows: Rows, times: int) -> Rows:
    """Only the payloads of every `times`-th row, each `times` times, under different ids."""
    place = np.arange(rows.n) // times * times
    copied = rows.take(place)
    return replace(copied, ids=rows.ids, time_us=rows.time_us)


def test_repeated_payloads_are_counted_and_do_not_pass_for_evidence() -> None:
    """Each payload eight times: without correction two thirds of clean windows would look changed."""
    naive, corrected = [], []
    for seed in range(5):
        week = make_rows(2000, 50 + seed)
        frame = fit_frame(week)
        day = _again(make_rows(400, 150 + seed), 8)
        baseline = make_state(week, frame)
        for found, rows in ((naive, replace(day, commitment={})), (corrected, day)):
            found += [
                r.p_value
                for r in univariate.PLUGIN.measure(make_state(rows, frame), baseline, frame)
                if r.metric == "drift.ks" and "input" in r.attributes
            ]
    assert np.mean(np.array(naive) < 0.01) > 0.2
    assert np.mean(np.array(corrected) < 0.01) < 0.06
    state = make_state(day, frame)
    share = {r.attributes["input"]: r for r in repetition.PLUGIN.measure(state, baseline, frame)}
    assert share["photo"].value == pytest.approx(1 / 8)
    assert share["photo"].exact
    assert share["photo"].facts["effective"] == pytest.approx(50)


def test_the_sketch_of_payloads_is_that_of_the_whole_whatever_the_shards() -> None:
    rng = np.random.default_rng(1)
    seen = rng.integers(0, 3000, 9000).astype(np.uint64) * np.uint64(6148914691236517205)
    whole = Payloads.of(seen)
    parts = [Payloads.of(part) for part in np.array_split(rng.permutation(seen), 7)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.merge(part)
    assert joined.n == whole.n
    assert np.array_equal(joined.hashes, whole.hashes)
    assert np.array_equal(joined.counts, whole.counts)
    distinct, counts = np.unique(seen, return_counts=True)
    assert whole.distinct_share == pytest.approx(len(distinct) / len(seen), rel=0.1)
    assert whole.effective_share == pytest.approx(len(seen) / (counts**2).sum(), rel=0.1)
    assert not whole.exact
    assert Payloads.of(np.unique(seen)).effective_share == 1.0


def test_payloads_survive_merging_and_the_codec(clean: Window) -> None:
    state = merge(clean[0], make_state(make_rows(40, 1), clean[2]))
    back = decode_state(encode_state(state))
    assert back.payloads.keys() == {"photo", "clip", "note"}
    for name, payloads in state.payloads.items():
        assert np.array_equal(back.payloads[name].hashes, payloads.hashes)
        assert np.array_equal(back.payloads[name].counts, payloads.counts)
    assert encode_state(back) == encode_state(state)


# -- embeddings ---------------------------------------------------------------------------------------------------------


def _shifted(seed: int) -> Rows:
    rows = make_rows(400, seed)
    moved = rows.vectors["inputs.photo.embedding"] * np.float32(1.3) + np.float32(0.3)
    return replace(rows, vectors={**rows.vectors, "inputs.photo.embedding": moved})


def test_classifier_kid_and_kernel_see_a_moved_embedding_and_nothing_else(clean: Window) -> None:
    _, baseline, frame = clean
    moved = make_state(_shifted(8), frame)
    areas = {r.attributes["input"]: r for r in domain_classifier.PLUGIN.measure(moved, baseline, frame)}
    assert areas["photo"].value > 0.8
    assert areas["photo"].p_value < 1e-9
    assert "embedding" in areas["photo"].facts["leading_column"]
    assert areas["clip"].p_value > 1e-3
    for plugin, limit in ((kid.PLUGIN, 1 / 200), (kernel.PLUGIN, 1 / 200)):
        p = {
            r.attributes["input"] + "." + r.attributes["column"]: r.p_value
            for r in plugin.measure(moved, baseline, frame)
            if "input" in r.attributes
        }
        assert p["photo.embedding"] <= limit
        assert p["note.embedding"] > 0.01


def test_classifiers_of_clean_windows_hover_around_a_half(clean: Window) -> None:
    for reading in domain_classifier.PLUGIN.measure(*clean):
        assert abs(reading.value - 0.5) < 0.1
        assert reading.p_value > 1e-3


def test_the_gap_is_the_plain_mean_difference(clean: Window) -> None:
    current, baseline, frame = clean
    rows = _shifted(11)
    found = {r.metric: r for r in modality_gap.PLUGIN.measure(make_state(rows, frame), baseline, frame)}
    unit = [
        x / np.linalg.norm(x, axis=1, keepdims=True)
        for x in (rows.vectors["inputs.note.embedding"], rows.vectors["inputs.photo.embedding"])
    ]
    gap = (unit[0] - unit[1]).mean(axis=0)
    assert found["alignment.gap_norm"].value == pytest.approx(np.linalg.norm(gap), rel=1e-4)
    assert found["alignment.gap_norm"].p_value < 1e-9
    assert 0 <= found["alignment.gap_angle"].value <= 180
    quiet = {r.metric: r for r in modality_gap.PLUGIN.measure(current, baseline, frame)}
    assert quiet["alignment.gap_norm"].p_value > 1e-3


def test_embeddings_without_a_shared_space_are_aligned_by_canonical_directions() -> None:
    turn = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)

    def apart(rows: Rows) -> Rows:
        vectors = {**rows.vectors, "inputs.note.embedding": rows.vectors["inputs.note.embedding"] @ turn}
        return replace(rows, vectors=vectors)

    week = apart(make_rows(1500, 1))
    frame = Frame.from_json(fit_frame(week).as_json())
    assert list(frame.heads) == [("note", "photo")]
    baseline = make_state(week, frame)
    day = apart(make_rows(300, 2))
    mixed = replace(
        day, vectors={**day.vectors, "inputs.note.embedding": np.roll(day.vectors["inputs.note.embedding"], 1, axis=0)}
    )
    quiet, found = (
        {
            r.metric: r
            for r in alignment.PLUGIN.measure(make_state(rows, frame), baseline, frame)
            if r.attributes["pair"] == "note~photo"
        }
        for rows in (day, mixed)
    )
    assert quiet["alignment.cca"].value > 0.5
    assert quiet["alignment.cca"].p_value > 1e-3
    assert found["alignment.cca.ratio"].value < 0.5
    assert found["alignment.cca"].p_value < 1e-20
    assert "alignment.cosine" not in quiet


def test_frames_with_folds_survive_json(clean: Window) -> None:
    frame = clean[2]
    assert frame.folds
    back = Frame.from_json(frame.as_json())
    assert back.digest == frame.digest
    one, two = (NumericBlock.of(make_state(make_rows(50, 4), f).numeric) for f in (frame, back))
    assert np.array_equal(one.places, two.places)


# -- answers of closed models -------------------------------------------------------------------------------------------


def _words(column: str, **counts: int) -> dict[str, CategoricalState]:
    return {column: CategoricalState(counts)}


def test_refusals_and_broken_answers_are_rates_with_fishers_test(clean: Window) -> None:
    current, baseline, frame = clean
    now = replace(
        current,
        categorical={**_words("output.refused", true=30, false=370), **_words("output.finish", stop=380, length=20)},
    )
    then = replace(
        baseline,
        categorical={**_words("output.refused", true=20, false=2780), **_words("output.finish", stop=2790, length=10)},
    )
    found = {r.metric: r for r in answers.PLUGIN.measure(now, then, frame)}
    assert found["output.refusal_rate"].value == 30 / 400
    assert found["output.refusal_rate"].p_value == pytest.approx(stats.fisher_exact([[30, 370], [20, 2780]]).pvalue)
    assert found["output.incomplete_rate"].value == 20 / 400
    silent = list(answers.PLUGIN.measure(current, then, frame))
    assert {(r.status, r.reason) for r in silent} == {(Status.INSUFFICIENT_DATA, "absent_in_window")}
    assert list(answers.PLUGIN.measure(current, baseline, frame)) == []
