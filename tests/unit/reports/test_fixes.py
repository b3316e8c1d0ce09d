"""A reason that a figure is undecided for has a text with what to do; reasons of capture have their own in the gap register."""

from __future__ import annotations

import pytest

from auditor.core.catalogue import CAPTURE_REASONS, REASONS
from auditor.reports.gaps import _FIX


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - CAPTURE_REASONS.keys()))
def test_each_reason_has_a_fix(reason: str) -> None:
    assert _FIX[reason]
