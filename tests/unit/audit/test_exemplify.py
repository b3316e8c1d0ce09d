"""The records an alert names lie furthest in the direction of the change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditor.audit.exemplify import examples
from auditor.core.window import DAY
from auditor.testing import make_measurement, make_rows, make_state, make_window
from auditor.testing.factories import START

OPTIONS = {"darken": 0.5, "missing": 0.3, "repaired": 0.4, "confuse": {"speaker=theo": 0.6}}
ROWS = make_rows(400, 3, start=START + 7 * DAY, **OPTIONS)
_, BASELINE, FRAME = make_window(400, 3)
STATE = make_state(ROWS, FRAME)
PLACE = {name: i for i, name in enumerate(ROWS.ids.tolist())}


def shown(metric: str, **attributes: str) -> list[int]:
    found = examples(make_measurement(metric=metric, attributes=attributes), STATE, BASELINE, FRAME)
    assert len(found) <= 5
    return [PLACE[name] for name in found]


def test_of_a_column_whose_mean_fell_the_lowest() -> None:
    brightness = ROWS.numeric["inputs.photo.descriptors.brightness"]
    for metric in ("drift.ks", "drift.e_value"):
        places = shown(metric, column="brightness", input="photo", modality="image")
        assert places == np.argsort(brightness)[:5].tolist()


def test_of_a_column_whose_spread_alone_grew_both_ends() -> None:
    wide = replace(ROWS, numeric={**ROWS.numeric})
    x = ROWS.numeric["inputs.photo.descriptors.sharpness"]
    spread = BASELINE.numeric["inputs.photo.descriptors.sharpness"].moments.mean + 3 * (x - x.mean())
    wide.numeric["inputs.photo.descriptors.sharpness"] = spread  # type: ignore[index]
    figure = make_measurement(
        metric="drift.ks", attributes={"column": "sharpness", "input": "photo", "modality": "image"}
    )
    found = examples(figure, make_state(wide, FRAME), BASELINE, FRAME)
    away = np.abs(spread - BASELINE.numeric["inputs.photo.descriptors.sharpness"].moments.mean)
    assert [PLACE[name] for name in found] == np.argsort(-away)[:5].tolist()


@pytest.mark.parametrize("metric", ["alignment.concordance.ratio", "drift.e_value"])
def test_of_a_pair_those_that_agree_least(metric: str) -> None:
    attributes = {"pair": "photo~clip"} | ({"column": "concordance"} if metric == "drift.e_value" else {})
    scores = [ROWS.vectors[f"inputs.{name}.scores"] for name in ("photo", "clip")]
    agreement = (scores[0] * scores[1]).sum(axis=1)
    assert agreement[shown(metric, **attributes)].max() < np.nanquantile(agreement, 0.05)


def test_of_a_missing_input_those_without_it() -> None:
    missing = ROWS.presence["clip"] == 2
    places = shown("input.missing_rate", input="clip", modality="audio")
    assert len(places) == 5
    assert missing[places].all()


def test_of_a_rate_wrong_answers_and_of_a_gap_those_of_the_worst_group() -> None:
    answers, truth = ROWS.categorical["output.label"], ROWS.truth
    for places in (shown("quality.accuracy"), shown("fairness.accuracy.difference", feature="speaker")):
        assert len(places) == 5
        assert all(truth[i] is not None and answers[i] != truth[i] for i in places)
    assert {ROWS.groups["speaker"][i] for i in shown("fairness.accuracy.difference", feature="speaker")} == {"theo"}


def test_of_words_those_that_became_more_frequent() -> None:
    other = replace(ROWS, categorical={**ROWS.categorical})
    language = np.array(["fr"] * ROWS.n, object)
    language[::3] = "en"
    other.categorical["inputs.note.descriptors.language"] = language  # type: ignore[index]
    figure = make_measurement(
        metric="drift.psi", attributes={"column": "language", "input": "note", "modality": "text"}
    )
    found = examples(figure, make_state(other, FRAME), BASELINE, FRAME)
    assert {language[PLACE[name]] for name in found} == {"fr"}


def test_figures_that_no_row_shows_have_none() -> None:
    assert shown("capture.loss") == []
    assert shown("energy.per_inference.ratio") == []
    assert shown("drift.ks", column="unheard_of", input="photo", modality="image") == []
    assert examples(make_measurement(metric="drift.ks", attributes={"column": "brightness"}), STATE, None, FRAME) == ()
