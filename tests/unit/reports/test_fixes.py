"""A reason that a figure is undecided for has a text that tells the reader what to do."""

from __future__ import annotations

import pytest

from auditor.core.catalogue import REASONS
from auditor.reports.gaps import _FIX

LOSSES = {
    "at_exit", "describe_failed", "lost_after_delivery", "no_destination", "no_vault", "process_ended", "queue_bytes",
    "queue_full", "refused", "sampled", "spool_full", "transport_failed",
}  # fmt: skip
"""Why a record was not captured: the gap register gives these a text of their own."""


@pytest.mark.parametrize("reason", sorted(set(REASONS) - LOSSES))
def test_each_reason_has_a_fix(reason: str) -> None:
    assert _FIX[reason]
