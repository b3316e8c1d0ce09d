"""The dashboard as a person sees it: a real Chromium, every page, no exception, no request that leaves the machine."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("auditor_tests_screenshots", HERE / "screenshots.py")
screenshots = sys.modules["auditor_tests_screenshots"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(screenshots)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason=f"there is no Chromium at {screenshots.CHROMIUM}"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]

SEEN = {
    "overview": [
        "Open findings (3)",
        "Outcomes differ between groups",
        "What is not known",
        "open for 5 days",
    ],
    "drift": ["photo (image)", "clip (audio)", "4 resolved findings", "Furthest from the baseline"],
    "fairness": ["lowest harbour 71.2 %", "island: insufficient", "no single definition of fairness"],
    "energy": ["modelled, not metered", "2.00×", "1.5.0"],
    "compliance": ["not a conformity assessment", "Art. 10(2)(f)", "Human conclusion"],
}


@pytest.fixture(scope="module")
def visit(dashboard):
    """Text of a page, and every request the browser made so far."""
    with screenshots.browser() as chromium:
        page = chromium.new_page(viewport={"width": 1440, "height": 2400})
        requests, errors, refused = [], [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)

        def go(name: str) -> str:
            page.goto(f"{dashboard}/{screenshots.path_of(name)}", wait_until="domcontentloaded")
            screenshots.settle(page)
            assert page.locator("[data-testid=stException]").count() == 0
            assert errors == []
            return re.sub(r"\s+", " ", page.inner_text("[data-testid=stMain]"))

        go.page, go.requests, go.refused = page, requests, refused
        yield go


@pytest.mark.parametrize("name", screenshots.PAGES)
def test_page_shows_what_was_planted(visit, name):
    text = visit(name)
    for expected in SEEN[name]:
        assert expected in text or expected in visit.page.content(), expected


def test_charts_are_drawn(visit):
    visit("overview")
    drawn = visit.page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").count()
    assert drawn >= 4


def test_nothing_is_asked_of_another_host(visit):
    visit("drift")
    foreign = [url for url in visit.requests if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:", url)]
    assert foreign == []


def test_the_policy_of_the_page_keeps_nothing_of_ours_and_every_script_that_got_in(visit):
    visit("drift")
    assert visit.refused == []
    ran = visit.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.got_in = 1";
            document.head.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src='x:' onerror='window.got_in = 1'>");
            return new Promise(done => setTimeout(() => done(window.got_in ?? 0), 500));
        }"""
    )
    assert ran == 0
    assert len(visit.refused) >= 2
    visit.refused.clear()


def test_report_downloads(visit):
    visit("compliance")
    with visit.page.expect_download(timeout=30_000) as waiting:
        visit.page.get_by_role("button", name="Download the review to sign").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "What is not known" in text
