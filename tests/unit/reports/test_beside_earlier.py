"""What a reader needs beside a figure: when the version began that made it, and what earlier windows said."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from statistics import median

import pytest

from auditor.core.measurement import How
from auditor.core.window import DAY, Span
from auditor.reports import KINDS, build
from auditor.reports.energy import spread, spread_text
from auditor.reports.evidence import EARLIER, gather
from auditor.reports.render import to_csv, to_html, to_json

PER_ANSWER = "energy.per_inference"


@pytest.mark.parametrize("kind", KINDS)
def test_every_header_says_since_when_each_version_is_known(reports, kind):
    report = reports[kind]
    said = "<b>ward-triage</b>, version 1.4.0, first seen 5 Oct 2026; version 1.5.0, first seen 5 Nov 2026"
    assert said in to_html(report)
    document = json.loads(to_json(report))
    assert document["versions"] == ["1.4.0", "1.5.0"]
    assert document["first_seen"] == {"1.4.0": "2026-10-05T00:00:00Z", "1.5.0": "2026-11-05T00:00:00Z"}
    rows = [row for row in csv.DictReader(io.StringIO(to_csv(report))) if row["kind"] == "version"]
    assert [(row["version"], row["start"]) for row in rows] == list(document["first_seen"].items())


def test_a_version_of_another_period_is_not_named(history, shelf, generated):
    first = Span(history.START, history.START + 7 * DAY)
    assert list(build("drift", shelf, history.MODEL, first, generated=generated).first_seen) == ["1.4.0"]


def read(history, days, start=0, change=lambda m, number: m):
    """The evidence of the days from `start` on, after `days` audits whose measurements were changed."""
    audits = [
        replace(audit, measurements=tuple(change(m, number) for m in audit.measurements))
        for number, audit in enumerate(history.audits(days=days))
    ]
    return gather(history.Shelf(audits), history.MODEL, Span(history.START + start * DAY, history.START + days * DAY))


def test_the_last_window_stands_beside_earlier_ones_also_of_before_the_period(history):
    evidence = read(history, 12, start=9)
    (last,) = evidence.latest(PER_ANSWER)
    found = spread(evidence, last)
    values = [
        m.value
        for audit in history.audits(days=11)
        for m in audit.measurements
        if m.metric == PER_ANSWER and not m.version
    ]
    told = found.as_json()
    assert (told["windows"], told["median"], told["lowest"], told["highest"]) == (
        11, median(values), min(values), max(values),
    )  # fmt: skip
    assert last.id not in told["earlier"]
    assert spread_text(found).startswith(
        f"In 11 earlier windows: median {median(values):.3g} J, lowest {min(values):.3g} J ("
    )
    assert found.begun == {}


def test_at_most_so_many_windows_count_and_versions_among_them_are_named(history):
    evidence = read(history, 34, start=33)
    found = spread(evidence, evidence.latest(PER_ANSWER)[0])
    assert len(found.earlier) == EARLIER
    assert found.earlier[0].start == history.START + 5 * DAY
    assert spread_text(found).endswith("; among them version 1.5.0, first seen 5 Nov 2026.")


@pytest.mark.parametrize("other", [{"how": How.MEASURED}, {"facts": {"meter": "another meter"}}])
def test_windows_of_another_method_or_meter_are_left_out(history, other):
    def metered(m, number):
        return replace(m, **other) if m.metric == PER_ANSWER and number < 6 else m

    evidence = read(history, 10, change=metered)
    found = spread(evidence, evidence.latest(PER_ANSWER)[0])
    assert [m.start for m in found.earlier] == [history.START + day * DAY for day in (6, 7, 8)]


def test_where_there_is_no_earlier_window_that_is_said(history, generated):
    shelf = history.Shelf(history.audits(days=1))
    report = build("energy", shelf, history.MODEL, Span(history.START, history.START + DAY), generated=generated)
    assert "No earlier window of this length was measured in this way." in report.summary[1]
    (told,) = json.loads(to_json(report))["sections"][0]["spreads"]
    assert (told["windows"], told["median"], told["lowest"], told["highest"]) == (0, None, None, None)
    (row,) = (row for row in csv.DictReader(io.StringIO(to_csv(report))) if row["kind"] == "earlier_windows")
    assert (row["n"], row["value"], row["reason"]) == ("0", "", "no_earlier_window")
    assert "none measured in this way" in to_html(report)


def test_html_json_and_csv_tell_the_same_of_earlier_windows(reports):
    report = reports["energy"]
    (told,) = next(s for s in json.loads(to_json(report))["sections"] if s["id"] == "per-answer")["spreads"]
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    (row,) = (row for row in rows if row["kind"] == "earlier_windows")
    assert [float(row[key]) for key in ("value", "lower", "upper", "n")] == [
        told["median"], told["lowest"], told["highest"], told["windows"],
    ]  # fmt: skip
    assert row["id"] == told["measurement"]
    assert set(told["earlier"]) <= {row["id"] for row in rows if row["kind"] == "measurement"}
    html = to_html(report)
    for value in (told["median"], told["lowest"], told["highest"]):
        assert f"{value:.3g} J" in html
