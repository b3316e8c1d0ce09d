"""Every page, run in process by Streamlit's own test runner: no exception, the planted findings and gaps in words."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from auditor.shipped import shipped

PAGES = ("overview", "drift", "fairness", "energy", "compliance")


def words_on(at: AppTest) -> str:
    """All text a reader sees, Markdown's escapes taken out."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "code", "metric", "expander")
    parts = []
    for kind in kinds:
        for element in getattr(at, kind):
            parts += [str(getattr(element, name, "")) for name in ("label", "value")]
    parts += [element.proto.body for element in at.get("badge") if hasattr(element.proto, "body")]
    return " ".join(parts).replace("\\", "")


@pytest.fixture
def show(filled_home, monkeypatch, no_home_elsewhere):
    monkeypatch.setenv("AUDITOR_HOME", str(filled_home))

    def run(page: str) -> AppTest:
        at = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=60)
        at.run()
        if page != "overview":
            at.switch_page(f"pages/{page}.py").run()
        assert not at.exception, at.exception
        return at

    return run


@pytest.mark.parametrize("page", PAGES)
def test_page_runs_and_keeps_the_gaps_in_view(show, page):
    at = show(page)
    text = words_on(at)
    assert "What is not known" in text
    assert "ward-triage" in text
    assert "UTC" in text
    assert "nan" not in text.split()


def test_overview_tells_open_alerts_with_all_four_parts(show):
    text = words_on(show("overview"))
    assert "Open findings (3)" in text
    for part in ("What changed", "Since when", "How sure", "What next"):
        assert text.count(part) >= 7  # three open alerts, four resolved
    assert "Outcomes differ between groups" in text
    assert "lowest harbour 71.2 %" in text
    assert "p < 1e-9" in text
    assert "%" not in "".join(m.value for m in show("overview").metric)  # counts, no score


def test_overview_counts_every_verdict_word(show):
    metrics = {metric.label: metric.value for metric in show("overview").metric}
    assert metrics == {
        "Fail": "3", "Error": "0", "Insufficient evidence": "2", "Warn": "0", "Waived": "1", "Pass": "8", "Not applicable": "1",
    }  # fmt: skip


def test_drift_page_draws_each_input_and_offers_the_evidently_file(show):
    at = show("drift")
    text = words_on(at)
    for name in ("photo (image)", "clip (audio)", "note (text)"):
        assert name in text
    assert len(at.get("vega_lite_chart")) >= 7
    assert len(at.get("download_button")) == 2
    assert "Do the inputs still belong together?" in text
    chosen = at.selectbox(key="column")
    assert chosen.options[0] in {
        f"{column} of photo" for column in ("brightness", "contrast", "confidence", "foreground share")
    } | {f"{column} of clip" for column in ("confidence", "snr db", "floor dbfs", "centroid hz")}
    chosen.select("brightness of photo").run()
    assert not at.exception


def test_fairness_page_shows_small_groups_and_promises_nothing(show):
    text = words_on(show("fairness"))
    assert "island: insufficient" in text
    assert "n = 7" in text
    assert "unbiased" not in text.lower()
    assert "no single definition of fairness" in text


def test_energy_page_says_how_figures_were_obtained(show):
    at = show("energy")
    text = words_on(at)
    assert "modelled, not metered" in text
    assert "Wh" in text
    assert any("1.5.0" in str(table.value.to_dict()) for table in at.dataframe)


def test_compliance_page_lists_provisions_gaps_first_and_leaves_the_conclusion_open(show):
    at = show("compliance")
    text = words_on(at)
    order = [element.value for element in at.subheader]
    assert order[0].startswith("EU AI Act")
    assert order[-1] == "Human conclusion"
    assert "Left empty on purpose" in text
    assert "not a conformity assessment" in text
    assert "Art. 14(4)(e)" in text
    assert "attestation missing" in text
    assert "without the waiver" in text


def test_period_can_be_narrowed(show):
    at = show("overview")
    at.selectbox(key="period").select("Last 7 days").run()
    assert not at.exception
    assert "7 windows" in words_on(at)


def test_empty_home_says_what_to_run(empty_home, monkeypatch, no_home_elsewhere):
    monkeypatch.setenv("AUDITOR_HOME", str(empty_home))
    at = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=60).run()
    assert not at.exception
    assert at.title[0].value == "Nothing to show yet"
    assert at.code[0].value.startswith("auditor ")


def test_no_home_says_what_to_run(tmp_path, monkeypatch, no_home_elsewhere):
    monkeypatch.chdir(tmp_path)
    at = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=60).run()
    assert not at.exception
    assert "there is no home" in words_on(at)
