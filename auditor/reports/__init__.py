"""Reports: the stored evidence about one model over one period, in words, tables and small drawings.

`build(kind, queries, model, span, generated=...)` makes one; `auditor.reports.render.render(report, format)` writes it.
"""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from auditor.core.errors import ConfigurationError

if TYPE_CHECKING:
    from auditor.core.window import Span
    from auditor.ports import Queries
    from auditor.reports.model import Report
    from auditor.reports.rules import Rules

KINDS = ("drift", "fairness", "energy", "compliance")


def build(
    kind: str, queries: Queries, model: str, span: Span, *, generated: datetime, rules: Rules | None = None
) -> Report:
    """The report of that kind; ConfigurationError `unknown_report` for any other.

    Parameters
    ----------
    generated : datetime
        When it is made; nothing here reads a clock.
    rules : Rules, optional
        `auditor.reports.rules.Rules(policies)`: titles and next steps from the policies in force, and which provisions
        have no control. Without it, only the store's content is shown.
    """
    if kind not in KINDS:
        raise ConfigurationError("unknown_report", f"there is no report {kind!r}", fix=f"one of {', '.join(KINDS)}")
    report: Report = import_module(f"auditor.reports.{kind}").build(
        queries, model, span, generated=generated, rules=rules
    )
    return report
