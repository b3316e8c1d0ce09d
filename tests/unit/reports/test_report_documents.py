"""Reports about the made-up history: what was planted is told, gaps come first, nothing is turned into a zero."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from auditor.core.errors import ConfigurationError
from auditor.core.measurement import Status
from auditor.core.verdict import State, Word
from auditor.core.window import DAY, Span
from auditor.reports import KINDS, build, parts
from auditor.reports.compliance import evidence_count, provisions
from auditor.reports.drift import inputs
from auditor.reports.energy import total, weighted_mean
from auditor.reports.evidence import affected, audited_span, gather
from auditor.reports.gaps import find_gaps
from auditor.reports.render import render, to_csv, to_html, to_json
from auditor.reports.stories import stories
from auditor.testing import make_alert, make_measurement, make_verdict
from auditor.wording.vocabulary import STATEMENT

CONTRACT = {"kind", "model", "start", "end", "digests", "gaps", "summary", "sections", "method"}


class Reader(HTMLParser):
    """Tags that do not match, texts, and addresses that a browser would fetch."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.wrong, self.texts, self.fetched, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize("kind", KINDS)
def test_json_has_the_shape_of_the_contract(reports, kind):
    document = json.loads(to_json(reports[kind]))
    assert set(document) >= CONTRACT
    assert document["schema"] == "auditor.report/1"
    assert document["kind"] == kind
    assert document["start"] == "2026-10-12T00:00:00Z"
    assert document["end"] == "2026-11-09T00:00:00Z"
    assert document["generated"] == "2026-11-10T09:30:00Z"
    assert "policy ward-triage-eu-ai-act" in document["digests"]
    for section in document["sections"]:
        assert set(section) >= {"id", "title", "text", "measurements", "verdicts"}
    identifiers = [section["id"] for section in document["sections"]]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize("kind", KINDS)
def test_html_is_whole_and_asks_for_nothing(reports, kind):
    html = to_html(reports[kind])
    reader = read(html)
    assert reader.wrong == []
    assert reader.open == []
    assert reader.fetched == []
    assert "script" not in reader.tags
    assert "@import" not in html
    assert re.findall(r"url\(", html) == []
    text = " ".join(reader.texts)
    assert STATEMENT in text
    assert "None" not in text
    assert " nan" not in text.lower()


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_come_before_everything_else(reports, kind):
    html = to_html(reports[kind])
    places = [html.index(f'<section id="{name}"') for name in ("gaps", "summary", "method")]
    assert places == sorted(places)
    first = min(html.index(f'<section id="{section.id}"') for section in reports[kind].sections)
    assert places[0] < places[1] < first
    for gap in reports[kind].gaps:
        assert gap.text


def test_compliance_tells_each_provision_gaps_waiver_and_leaves_the_conclusion_empty(reports):
    report = reports["compliance"]
    text = " ".join(read(to_html(report)).texts)
    for expected in (
        "Art. 10(2)(f)", "Art. 14(4)(e)", "attestation missing", "without the waiver: Fail", "Human conclusion",
        "Left empty on purpose", "MEASURE 2.11", "EU AI Act, Regulation (EU) 2024/1689",
    ):  # fmt: skip
        assert expected in text
    assert "compliant" not in text.lower().replace("noncompliant", "")
    assert [section.id for section in report.sections][-1] == "conclusion"
    assert any(gap.articles == (("eu-ai-act", "Art. 14(4)(e)"),) for gap in report.gaps)


def test_compliance_counts_words_and_gives_no_score(reports):
    first = reports["compliance"].summary[0]
    assert "3 fail, 2 insufficient evidence, 1 waived, 8 pass and 1 not applicable" in first
    assert "%" not in first


def test_each_alert_answers_the_four_questions(reports):
    stories = [story for section in reports["compliance"].sections for story in section.stories]
    assert len(stories) == 7
    assert [story.is_open for story in stories] == [True] * 3 + [False] * 4
    for story in stories:
        assert "Since" in story.since
        assert re.search(r"\d", story.sure)
        assert "record" in story.sure
        assert story.next
        assert re.search(r"limit: at (least|most)", story.what)
    titles = {story.title for story in stories}
    assert {"Images changed: photo", "Audio changed: clip", "An input is missing more often: clip"} <= titles


def test_times_of_an_incident_are_the_days_it_was_planted_on(reports):
    photo = next(s for section in reports["drift"].sections for s in section.stories if s.alert.kind == "image")
    assert photo.since == (
        "Since 19 Oct 2026, alert opened 20 Oct 2026; open for 3 days, resolved 23 Oct 2026. Worst: 21 Oct 2026 (shown here)."
    )
    assert photo.verdict.end == history_day(10)
    worst = max(photo.verdict.observed, 0)
    assert f"KS distance {worst:.3g}, maximum 1" in photo.what


def history_day(number):
    """End of that day of the history."""
    return datetime(2026, 10, 12, tzinfo=UTC) + number * DAY


def test_a_resolved_alert_is_told_by_the_figure_that_fired_not_by_the_one_that_was_well_again(evidence):
    for story in stories(evidence):
        assert story.verdict.state is State.FIRING
        value, limit = story.measurements[0].value, story.verdict.limit
        assert (value < limit) == (": at least" in story.what)
        assert (value > limit) == (": at most" in story.what)


def test_rules_that_one_figure_breaks_share_a_story(history, span):
    audits = history.audits(days=10)
    doubled = []
    for audit in audits:
        twins = tuple(replace(v, id=f"{v.id}-2", policy="second") for v in audit.verdicts)
        opened = tuple(replace(a, id=f"{a.id}-2", policy="second") for a in audit.alerts.opened)
        alerts = replace(audit.alerts, opened=audit.alerts.opened + opened)
        doubled.append(replace(audit, verdicts=audit.verdicts + twins, alerts=alerts))
    evidence = gather(history.Shelf(doubled), history.MODEL, Span(span.start, span.start + 10 * DAY))
    assert len(evidence.open_alerts) == 2
    (story,) = stories(evidence, evidence.open_alerts)
    assert [alert.policy for alert in (story.alert, *story.also)] == ["ward-triage-eu-ai-act", "second"]


def test_figures_over_longer_windows_are_found_behind_a_verdict(history, shelf, span):
    audits = history.audits(days=3)
    start = history.START - 25 * DAY
    long = make_measurement(
        model=history.MODEL, start=start, end=start + 28 * DAY, metric="quality.accuracy", attributes={}
    )
    seen = replace(audits[2].verdicts[0], evidence=(long.id,))
    audits[2] = replace(
        audits[2], measurements=(*audits[2].measurements, long), verdicts=(seen, *audits[2].verdicts[1:])
    )
    evidence = gather(history.Shelf(audits), history.MODEL, Span(history.START, history.START + 3 * DAY))
    assert evidence.deciding(seen) == long
    assert long not in evidence.of("quality.accuracy")


def test_what_does_not_apply_is_no_gap(history):
    (audit,) = history.audits(days=1)
    extra = [
        make_measurement(model=history.MODEL, start=history.START, metric="fairness.selection_rate.difference",
                         status=Status.NOT_APPLICABLE, reason="not_binary", attributes={"feature": "ward"}),
        make_measurement(model=history.MODEL, start=history.START, metric="drift.wasserstein",
                         status=Status.INSUFFICIENT_DATA, reason="undefined",
                         attributes={"column": "noise", "input": "photo", "modality": "image", "component": "twin"}),
        make_measurement(model=history.MODEL, start=history.START, metric="drift.ks", status=Status.NOT_APPLICABLE,
                         reason="describer_changed", attributes={"column": "hue", "input": "photo", "modality": "image"}),
    ]  # fmt: skip
    shelf = history.Shelf([replace(audit, measurements=(*audit.measurements, *extra))])
    codes = [gap.code for gap in find_gaps(gather(shelf, history.MODEL, Span(history.START, history.START + DAY)))]
    assert "not_binary" not in codes
    assert "undefined" not in codes
    assert "describer_changed" in codes


def test_policies_in_force_name_rules_provisions_and_what_nobody_asked_about(history, shelf, span, generated):
    from auditor import registry
    from auditor.policy.loader import load_policies
    from auditor.reports.rules import Rules
    from auditor.shipped import shipped

    rules = Rules(load_policies([shipped("policies") / "eu_ai_act"], registry.vocabulary()))
    report = build("compliance", shelf, history.MODEL, span, generated=generated, rules=rules)
    text = " ".join(read(to_html(report)).texts)
    assert "Art. 12(1), Record-keeping" in text
    assert "No system profile lists this model" in text
    codes = {gap.code for gap in report.gaps}
    assert {"not_covered", "not_judged"} <= codes
    assert "Art. 86" in next(gap.text for gap in report.gaps if gap.code == "not_covered")
    assert rules.provision("eu-ai-act", "Art. 10(2)(f)") == "Data and data governance"


def test_drift_has_a_section_for_each_input(reports, evidence):
    assert inputs(evidence) == ["clip", "note", "photo"]
    ids = [section.id for section in reports["drift"].sections]
    assert [item for item in ids if item.startswith("input-")] == ["input-clip", "input-note", "input-photo"]
    assert {"missing", "alignment", "record"} <= set(ids)


def test_fairness_assesses_and_shows_the_small_group(reports):
    text = " ".join(read(to_html(reports["fairness"])).texts)
    assert "Too small to judge in the last window: site = island (n = 7)." in text
    assert "not known: fewer records than the control needs (n = 7)" in text
    for word in ("unbiased", "debias", "free of bias"):
        assert word not in text.lower()


def test_energy_is_labelled_and_summed(reports, evidence):
    text = " ".join(read(to_html(reports["energy"])).texts)
    assert "modelled, not metered" in text
    per_call = evidence.of("energy.per_inference")
    mean = weighted_mean(per_call)
    assert mean == pytest.approx(sum(m.value for m in per_call) / 28)
    assert f"{mean:.3g} J" in reports["energy"].summary[0]


def test_sums_know_what_they_lack():
    known = make_measurement(metric="energy.active", value=2.0, unit="J")
    lost = make_measurement(metric="energy.active", unit="J", status=Status.INSUFFICIENT_DATA, reason="not_measured")
    assert total([known, lost]) == (2.0, 1, 1)
    assert total([lost]) == (None, 0, 1)
    assert weighted_mean([lost]) is None
    heavy = make_measurement(metric="energy.per_inference", value=4.0, unit="J", n=300)
    light = make_measurement(metric="energy.per_inference", value=1.0, unit="J", n=100)
    assert weighted_mean([heavy, light, lost]) == pytest.approx(3.25)


def test_csv_begins_with_the_gaps_and_leaves_absent_cells_empty(reports):
    rows = list(csv.DictReader(io.StringIO(to_csv(reports["fairness"]))))
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "statement"
    assert kinds[1] == "gap"
    assert kinds == sorted(kinds, key=["statement", "gap", "version", "measurement"].index)
    absent = [row for row in rows if row["kind"] == "measurement" and row["status"] != "ok"]
    assert absent
    assert all(row["value"] == "" and row["reason"] for row in absent)
    by_id = {m.id: m for m in reports["fairness"].measurements}
    for row in rows:
        if row["kind"] == "measurement" and row["value"]:
            assert float(row["value"]) == by_id[row["id"]].value


def test_hostile_text_stays_text(history, span, generated):
    audits = history.audits(days=1)
    evil = "<script>alert(1)</script>"
    audit = audits[0]
    measurements = tuple(
        replace(m, attributes={**m.attributes, "column": evil}, facts={"text": f"=cmd|'{evil}'"})
        if "column" in m.attributes
        else m
        for m in audit.measurements
    )
    shelf = history.Shelf([replace(audit, measurements=measurements)])
    report = build("drift", shelf, history.MODEL, span, generated=generated)
    html = to_html(report)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert read(html).wrong == []
    notes = [row["note"] for row in csv.DictReader(io.StringIO(to_csv(report))) if row["kind"] == "measurement"]
    assert not any(note.startswith("=") for note in notes)


def test_empty_period_is_one_gap_and_no_zero(history, generated):
    shelf = history.Shelf([])
    later = Span(history.START, history.START + 7 * DAY)
    for kind in KINDS:
        report = build(kind, shelf, history.MODEL, later, generated=generated)
        assert report.gaps[0].code == "not_audited"
        assert "nothing is known about this period" in report.gaps[0].text
        to_html(report)
        to_json(report)


def test_unaudited_stretches_are_named(history, span):
    audits = history.audits()
    evidence = gather(history.Shelf(audits[:5] + audits[8:]), history.MODEL, span)
    texts = [gap.text for gap in find_gaps(evidence)]
    assert "1 stretch of the period not audited: 17 Oct 2026 to 19 Oct 2026." in texts


def test_missing_baseline_is_a_gap(history, span):
    evidence = gather(history.Shelf(history.audits(days=2), pinned=[]), history.MODEL, span)
    assert "no_baseline" in [gap.code for gap in find_gaps(evidence)]


def test_longer_windows_are_not_counted_twice(history, span):
    audits = history.audits(days=8)
    long = make_measurement(
        metric="energy.active", value=1e9, unit="J", model=history.MODEL, start=history.START, end=history.START + 7 * DAY,
        attributes={"component": "cpu"},
    )  # fmt: skip
    audits[6] = replace(audits[6], measurements=(*audits[6].measurements, long))
    evidence = gather(history.Shelf(audits), history.MODEL, span)
    assert long.id in evidence.by_id
    assert long not in evidence.of("energy.active")


def test_an_alert_stands_as_it_was_at_the_end_of_the_period(history, shelf):
    during = gather(shelf, history.MODEL, Span(history.START, history.START + 9 * DAY))
    assert [alert.kind for alert in during.open_alerts] == ["image"]
    assert during.alerts[0].resolved is not None  # it has been resolved since


def test_affected_windows_of_an_alert(span):
    alert = make_alert(
        opened=span.start + 9 * DAY, since=span.start + 8 * DAY, state="resolved", renewed=span.start + 10 * DAY
    )
    assert affected(alert, span, DAY) == (span.start + 7 * DAY, span.start + 10 * DAY)
    standing = make_alert(opened=span.start + 9 * DAY)
    assert affected(standing, span, DAY) == (span.start + 8 * DAY, span.end)


def test_provisions_join_by_the_lattice_and_count_evidence(evidence):
    by_provision = provisions(evidence, "eu-ai-act")
    names = list(by_provision)
    assert names.index("Art. 4") < names.index("Art. 10(2)(f)") < names.index("Art. 95(2)(b)")
    assert parts.standing(evidence, by_provision["Art. 10(2)(f)"]) == ("Fail", Word.FAIL)
    assert evidence_count(by_provision["Art. 10(2)(f)"]) == "1 of 2"
    assert evidence_count(by_provision["Art. 50(1)"]) == "does not apply"
    waived = make_verdict(verdict=Word.WAIVED, underlying=Word.INSUFFICIENT_EVIDENCE)
    assert evidence_count([waived]) == "0 of 1"


def test_audited_span(history, shelf, span):
    assert audited_span(shelf, history.MODEL) == span
    assert audited_span(shelf, history.MODEL, back=7 * DAY) == Span(span.end - 7 * DAY, span.end)
    with pytest.raises(ConfigurationError) as caught:
        audited_span(shelf, "other")
    assert caught.value.code == "unknown_model"


def test_same_evidence_same_document(history, shelf, span, generated):
    documents = [
        [render(build(kind, shelf, history.MODEL, span, generated=generated), form) for form in ("html", "json", "csv")]
        for kind in KINDS
        for _ in range(2)
    ]
    assert documents[0::2] == documents[1::2]
    later = build("drift", shelf, history.MODEL, span, generated=generated + timedelta(days=1))
    assert render(later, "html") != documents[0][0]


def test_unknown_words_are_refused(history, shelf, span, generated, reports):
    with pytest.raises(ConfigurationError) as caught:
        build("poetry", shelf, history.MODEL, span, generated=generated)
    assert caught.value.code == "unknown_report"
    with pytest.raises(ConfigurationError) as caught:
        render(reports["drift"], "docx")
    assert caught.value.code == "unknown_format"


def test_every_row_of_a_csv_names_its_model_period_baseline_and_run(reports):
    for report in reports.values():
        for row in csv.DictReader(io.StringIO(to_csv(report))):
            assert row["model"] == report.model
            assert row["run"]
            assert row["baseline"] if row["kind"] != "measurement" else "baseline" in row
            assert row["period_start"] < row["period_end"]
            assert row["start"]


def test_no_green_pass_stands_over_a_control_that_was_broken(reports, evidence):
    passing = [v for v in evidence.current if v.verdict is Word.PASS]
    earlier = [v for v in passing if parts.is_past_failure(evidence, [v])]
    assert earlier
    assert len(earlier) < len(passing)
    text = to_html(reports["compliance"])
    assert set(reports["compliance"].broken) == {v.id for v in earlier}
    for item in earlier:
        assert parts.standing(evidence, [item]) == ("Pass now, broken earlier", Word.WARN)
        assert reports["compliance"].broken[item.id] in text
