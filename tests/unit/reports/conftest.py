"""The made-up history of tests/browser, in memory, for reports."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.core.window import DAY, Span

GENERATED = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)


def _load():
    key = "auditor_tests_history"
    if key not in sys.modules:
        path = Path(__file__).parents[2] / "browser" / "history.py"
        spec = importlib.util.spec_from_file_location(key, path)
        sys.modules[key] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[key]


@pytest.fixture(scope="session")
def history():
    return _load()


@pytest.fixture(scope="session")
def shelf(history):
    return history.Shelf(history.audits())


@pytest.fixture(scope="session")
def span(history) -> Span:
    return Span(history.START, history.START + history.DAYS * DAY)


@pytest.fixture(scope="session")
def generated() -> datetime:
    return GENERATED


@pytest.fixture(scope="session")
def reports(history, shelf, span):
    from auditor.reports import KINDS, build

    return {kind: build(kind, shelf, history.MODEL, span, generated=GENERATED) for kind in KINDS}


@pytest.fixture(scope="session")
def evidence(history, shelf, span):
    from auditor.reports.evidence import gather

    return gather(shelf, history.MODEL, span)
