"""Figures of change in plain words: each has its sentence, and what a sentence says of a value is true of the data."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from auditor import registry, wording
from auditor.reports.render import to_html, to_json
from auditor.statistics.distances import jensen_shannon, ks, psi, total_variation, wasserstein
from auditor.testing import make_measurement
from auditor.wording import distances

CHANGE = [spec for spec in registry.catalogue().values() if spec.name.startswith(("drift.", "alignment."))]


@pytest.mark.parametrize("spec", CHANGE, ids=lambda spec: spec.name)
def test_every_figure_of_change_has_one_sentence_and_says_something_of_a_value(spec):
    assert "." not in wording.metric_name(spec.name)
    assert re.fullmatch(r"[A-Z].*\.", spec.compares)
    assert not re.search(r"[.!?] [A-Z]", spec.compares)
    if spec.name != "drift.evidently":  # its component names the distance
        for value in (0.31, 0.96, 1.4 if spec.upper is None else spec.upper):
            said = distances.says(make_measurement(metric=spec.name, value=value, unit=spec.unit))
            assert said.endswith(".")
            assert re.search(r"\d", said) or "guessing" in said or "no less" in said or "nothing" in said
    for end in {spec.lower, spec.upper} - {None}:
        assert f"{end:g}" in spec.compares or spec.name == "drift.evidently" or (spec.lower, end) == (0, 0)


def test_what_is_no_figure_of_change_or_has_no_value_is_not_explained():
    assert distances.says(make_measurement(metric="quality.accuracy", value=0.9)) == ""
    assert distances.says(make_measurement(value=None, status="insufficient_data", reason="no_data")) == ""


def test_shares_that_are_said_to_have_moved_hold_on_random_counts():
    draw = np.random.default_rng(5)
    for _ in range(2000):
        bins = draw.integers(2, 11)
        a, b = (draw.multinomial(draw.integers(200, 5000), draw.dirichlet(np.full(bins, 0.7))) for _ in range(2))
        moved, distance = total_variation(a, b), jensen_shannon(a, b)
        low, high = distances.share_moved_jensen_shannon(distance)
        assert low - 1e-9 <= moved <= high + 1e-9
        assert moved <= distances.share_moved_psi(psi(a, b)) + 0.005, "empty bins count as half an observation"


def says(metric: str, value: float, **fields) -> str:
    return distances.says(make_measurement(metric=metric, value=value, **fields))


def test_what_a_value_says_is_what_the_counts_show():
    before, now = np.array([50, 30, 20, 0]), np.array([20, 29, 31, 20])  # 50 % lie in the first bin, then 20 %
    assert says("drift.ks", ks(before, now)[0]).startswith(
        "At the value where window and baseline differ most, the shares of records below it are 31 percentage points apart"
    )
    shift = wasserstein(before, now, np.arange(4.0)) / 2.0
    assert says("drift.wasserstein", shift) == (
        f"Values lie {shift:.3g} standard deviations of the baseline away on average (0: no change; no upper end)."
    )
    assert says("drift.jensen_shannon", 0.0).startswith("0 % of the records")
    assert says("drift.jensen_shannon", 0.1).startswith("1 to 11.8 % of the records")
    assert says("drift.psi", 0.36).startswith("At most about 30 % of the records")
    assert says("drift.domain_auc", 0.83).startswith("Of 100 pairs of a record of the window and one of the baseline")
    assert "tells 83 apart rightly" in says("drift.domain_auc", 0.83)
    assert says("drift.domain_auc", 0.48) == "The classifier does no better than guessing."
    assert (
        says("drift.e_value", 2000.0) == "Without a change, bets win as much at most 1 in 2,000 windows (no upper end)."
    )
    assert says("alignment.concordance.ratio", 0.83).endswith(
        "agree 17 % less than in the baseline (0 %: no less, 100 %: not at all)."
    )
    assert says("alignment.cosine.ratio", 1.02) == "The two inputs' embeddings agree no less than in the baseline."


@pytest.mark.parametrize("metric", ["drift.mmd2", "drift.kid"])
def test_what_has_no_scale_is_held_against_chance(metric):
    assert "no scale of its own" in registry.catalogue()[metric].compares
    assert "here p = 0.002 (about 1 in 500 comparisons)" in says(metric, 0.01, p_value=0.002)
    assert says(metric, -0.01) == "Not above 0, so no more than chance alone gives."


def test_a_frechet_distance_stands_beside_what_chance_adds():
    facts = {"raw": 0.13, "expected_by_chance": 0.003, "chance_spread": 0.0014}
    assert says("drift.frechet", 0.127, facts=facts).endswith(
        "; of the raw distance, 0.003 of 0.13 expected by chance, give or take 0.0014."
    )


def test_findings_say_it_in_html_and_json_and_the_method_explains_what_is_there(reports):
    document = json.loads(to_json(reports["drift"]))
    told = [alert for section in document["sections"] for alert in section["alerts"]]
    photo = next(alert for alert in told if alert["alert"]["kind"] == "image")
    distance = float(re.search(r"KS distance (\S+),", photo["what_changed"]).group(1))
    points = float(re.search(r"are (\S+) percentage points apart", photo["in_plain_words"]).group(1))
    assert points == pytest.approx(100 * distance, abs=0.05)
    assert next(alert for alert in told if alert["alert"]["kind"] == "missing")["in_plain_words"] == ""
    assert f"<dt>In plain words</dt><dd>{photo['in_plain_words']}" in to_html(reports["drift"])
    general = {spec.name: spec.compares for spec in CHANGE}
    assert [sentence in document["method"] for sentence in (general["drift.wasserstein"], general["drift.kid"])] == [
        True,
        False,
    ]
