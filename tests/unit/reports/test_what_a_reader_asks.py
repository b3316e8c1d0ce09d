"""What a reader who sees only the report must be able to say: what changed, since when, how sure, and what was not judged."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from auditor import wording
from auditor.core.facts import plain
from auditor.core.measurement import How, Status
from auditor.core.verdict import State, Word
from auditor.core.window import DAY, Span
from auditor.policy.verdict_facts import figure_facts
from auditor.reports import parts
from auditor.reports.compliance import rules_with_reach
from auditor.reports.energy import carbon_sentence
from auditor.reports.evidence import gather
from auditor.reports.fairness import compared
from auditor.reports.stories import stories
from auditor.testing import make_alert, make_measurement, make_verdict
from auditor.testing.factories import START


@pytest.fixture
def day(history):
    """The history's first audit with other measurements, verdicts and alerts, read as a report reads it."""

    def make(measurements=(), verdicts=(), opened=()):
        (audit,) = history.audits(days=1)
        own = replace(audit.alerts, opened=tuple(opened), renewed=(), resolved=())
        audit = replace(audit, measurements=tuple(measurements), verdicts=tuple(verdicts), alerts=own)
        return gather(history.Shelf([audit]), history.MODEL, Span(history.START, history.START + DAY))

    return make


@pytest.fixture
def figure(history):
    def make(metric, value=None, **fields):
        fields.setdefault("attributes", {})
        return make_measurement(model=history.MODEL, start=history.START, metric=metric, value=value, **fields)

    return make


@pytest.fixture
def fired(history):
    """A verdict that fired on these figures, and its alert."""

    def make(*behind, **fields):
        named = {"model": history.MODEL, "control": "rule", "kind": "image", "input": None, "modality": None, **fields}
        verdict = make_verdict(
            start=history.START, verdict=Word.FAIL, state=State.FIRING, reason="breach", observed=behind[0].value,
            evidence=tuple(m.id for m in behind),
            facts=plain({**figure_facts(behind[0]), "limit": named.get("limit", 0.15), "step_s": 86400.0}),
            **{"limit": 0.15, **named},
        )  # fmt: skip
        shared = {key: named[key] for key in ("model", "control", "kind", "input", "modality")}
        return verdict, make_alert(opened=verdict.end, policy=verdict.policy, **shared)

    return make


def test_heads_are_named_as_what_they_are_and_payloads_by_what_they_measure():
    head = {"column": "head.confidence", "input": "photo", "modality": "image"}
    assert wording.subject(head) == "confidence of the model's image head (photo)"
    level = {"column": "level_dbfs", "input": "clip", "modality": "audio"}
    assert wording.subject(level) == "sound level (dBFS) of clip"
    assert wording.subject({"column": "output.entropy"}) == "entropy of the answer"


def test_changes_of_the_answers_are_drift_and_changes_of_accuracy_are_not(day, figure, fired):
    answers = figure("drift.ks", 0.3, attributes={"column": "output.entropy"}, p_value=1e-9)
    accuracy = figure("quality.accuracy", 0.7)
    pairs = [fired(answers, kind="quality", control="output"), fired(accuracy, kind="quality", control="accuracy")]
    evidence = day([answers, accuracy], [v for v, _ in pairs], [replace(a, id=a.control) for _, a in pairs])
    assert [alert.control for alert in parts.drift_alerts(evidence)] == ["output"]
    titles = {story.alert.control: story.title for story in stories(evidence)}
    assert titles == {"output": "Outputs changed: entropy", "accuracy": "Quality of the outputs changed: accuracy"}


def test_a_finding_about_pairs_says_what_each_input_did(day, figure, fired):
    pair = figure("alignment.concordance.ratio", 0.8, attributes={"pair": "photo~clip"})
    verdict, alert = fired(pair, kind="alignment", limit=0.92)
    still = [make_verdict(id=name, model=verdict.model, start=verdict.start, control=name, input=name, kind=kind)
             for name, kind in (("photo", "image"), ("clip", "audio"), ("note", "text"))]  # fmt: skip
    (story,) = stories(day([pair], [verdict, *still], [alert]))
    assert story.title == "Inputs stopped belonging together: photo and clip"
    assert story.what.startswith("Photo and clip agree 80 % as well as in the baseline; limit: at least 92 %")
    assert story.what.endswith(
        "Each input taken alone: no drift control of clip and photo failed, so it may be the pairing that changed."
    )


def test_a_figure_over_a_longer_stretch_is_named_so(day, figure, fired, history):
    start = history.START - 6 * DAY
    gap = figure("fairness.accuracy.difference", 0.3, attributes={"feature": "site"})
    gap = replace(gap, start=start)
    verdict, alert = fired(gap, kind="bias")
    (story,) = stories(day([gap], [verdict], [alert]))
    assert story.title == "Outcomes differ between groups: site, over 7 days"
    assert "over 7 days; limit:" in story.what


def test_counts_tell_findings_from_alerts(day, figure, fired):
    moved = figure("drift.ks", 0.6, attributes={"column": "noise", "input": "photo", "modality": "image"})
    one, alert = fired(moved, control="one", input="photo")
    two, twin = fired(moved, control="two", input="photo")
    evidence = day([moved], [one, replace(two, id="two")], [alert, replace(twin, id="twin")])
    told = stories(evidence)
    assert parts.finding_counts(told) == "1 finding was open when the period ended (2 alerts)."
    assert len(parts.timeline(evidence, told).rows) == 1
    gone = [replace(story, is_open=False) for story in told]
    assert parts.finding_counts(gone) == "No findings were open when the period ended; 1 resolved during it (2 alerts)."


def test_no_gap_and_no_judgement_are_different_words(day, figure):
    at = {"attributes": {"feature": "site"}}
    held = figure("fairness.accuracy.difference", 0.02, **at)
    broken = figure("fairness.recall.difference", 0.4, **at)
    free = figure("fairness.precision.difference", 0.1, **at)
    small = figure("fairness.specificity.difference", status=Status.INSUFFICIENT_DATA, reason="below_min_samples", **at)
    silent = figure("fairness.fallout.difference", status=Status.INSUFFICIENT_DATA, reason="unlabelled", **at)
    many = figure("fairness.selection_rate.difference", status=Status.NOT_APPLICABLE, reason="not_binary", **at)
    model, start = held.model, held.start
    verdicts = [
        make_verdict(id="held", model=model, start=start, control="held", evidence=(held.id,)),
        make_verdict(id="broken", model=model, start=start, control="b", verdict=Word.FAIL, underlying=Word.FAIL,
                     evidence=(broken.id, held.id)),
    ]  # fmt: skip
    rows = {
        outcome: result
        for outcome, result, _ in compared(day([held, broken, free, small, silent, many], verdicts), "site")
    }
    assert rows == {
        "Accuracy": "no difference beyond the limit",
        "Recall": "difference beyond the limit",
        "Precision": "no control is about it",
        "Specificity": "could not be judged",
        "Fallout": "not measured",
        "Selection rate": "does not apply",
    }


def test_grams_follow_from_joules_in_one_sentence(day, figure):
    joules = {"unit": "J", "how": How.MODELLED}
    figures = [
        figure("energy.active", 600.0, **joules), figure("energy.active", 500.0, attributes={"input": "photo"}, **joules),
        figure("energy.idle", 3000.0, **joules),
        figure("carbon.emitted", 0.25 * 3600 / 3.6e6, unit="kg{CO2e}", how=How.MODELLED, facts={"country": "NLD"}),
    ]  # fmt: skip
    said = carbon_sentence(day(figures))
    assert said.startswith("Carbon: 1.00 Wh, active and idle, x 250 g CO2e per kWh (grid of NLD: ")
    assert "= 0.25 g CO2e. The joules are modelled, not metered" in said
    assert carbon_sentence(day([])) == "Carbon is not known: no country is set, so no grid intensity is known."


def test_an_unbiased_distance_below_zero_is_read_as_no_change():
    assert wording.value(make_measurement(metric="drift.frechet", value=-0.002)).endswith(
        "less than chance alone: no change"
    )
    assert wording.value(make_measurement(metric="drift.ks", value=0.2)) == "0.2"


def test_a_drawing_says_how_it_is_read(evidence):
    marks, limits = parts.firing(evidence)
    drawing = parts.trends(evidence, evidence.of("drift.ks"), "Distance", marks=marks, limits=limits, shared=True)
    for said in ("One scale for all rows.", "Red dots", "Dashed: the control's limit."):
        assert said in drawing.note
    assert "Red" not in parts.trends(evidence, evidence.of("latency.p50"), "Latency").note


def test_rules_that_look_back_say_how_far(evidence):
    verdicts = [verdict for verdict in evidence.current if verdict.control == "accuracy-gap"]
    assert rules_with_reach(verdicts) == ["Accuracy gap"]
    longer = [replace(verdict, facts={**verdict.facts, "reach_s": 7 * 86400.0}) for verdict in verdicts]
    assert rules_with_reach(longer) == ["Accuracy gap (over 7 days)"]


def test_a_window_that_could_not_be_decided_is_neither_broken_nor_well() -> None:
    said = [
        (Word.PASS, ""),
        (Word.FAIL, "breach"),
        (Word.FAIL, "interval_straddles_threshold"),  # the alert stays open; nothing is shown
        (Word.INSUFFICIENT_EVIDENCE, "interval_straddles_threshold"),
    ]
    windows = [
        make_verdict(start=START + day * DAY, end=START + (day + 1) * DAY, verdict=word, underlying=word, reason=reason)
        for day, (word, reason) in enumerate(said)
    ]
    assert parts.broken(SimpleNamespace(verdicts=windows), windows) == "1 of 4 windows broken, 2 without a verdict"
    assert parts.broken(SimpleNamespace(verdicts=windows[3:]), windows) == "0 of 1 window broken, 1 without a verdict"
    assert parts.broken(SimpleNamespace(verdicts=windows[:1]), windows) == "0 of 1 window broken"
