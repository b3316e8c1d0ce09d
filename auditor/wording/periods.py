"""A period in words: how old its data are, which baseline it has, how many findings."""

from __future__ import annotations

from datetime import datetime, timedelta

from auditor.core.window import DAY, Baseline, Span
from auditor.wording.numbers import capital, plural
from auditor.wording.times import day, moment, window


def freshness(
    newest: datetime | None, last: Span | None, *, period: Span, at: datetime, empty: int, step: timedelta
) -> list[str]:
    """What a reader must see first: the model is silent, or records wait for an audit. Empty, when neither is so.

    Parameters
    ----------
    newest : datetime or None
        Time of the model's newest record, or the end of its hour.
    last : Span or None
        The last audited window.
    period : Span
        What is shown; data after it are no matter of an earlier period.
    at : datetime
        When this is read.
    empty : int
        Audited windows without a record at the end of the period.
    """
    wait = 2 * max(step, DAY)
    if newest is not None and newest <= period.end and at - newest > wait:
        return [f"Silent since {moment(newest)}: no record for {plural((at - newest) // DAY, 'day')}."]
    if empty:
        return [f"No record in the last {plural(empty, 'audited window')} of the period."]
    if (
        newest is not None
        and last is not None
        and newest > last.end
        and period.end >= last.end
        and at - last.end > wait
    ):
        return [f"The last audited window is {window(last)}; records up to {moment(newest)} are not audited yet."]
    return []


def calm(what: str, windows: int, empty: int) -> str:
    """That no alert was open, with the windows that could show none.

    >>> calm("drift alert", 28, 0)
    'No drift alert was open at any time in the period.'
    >>> calm("alert", 62, 62)
    'No audited window has a record, so nothing can be said about alerts.'
    """
    if empty == windows:
        return f"No audited window has a record, so nothing can be said about {what}s."
    text = f"No {what} was open at any time in the period"
    return f"{text}; {empty} of {plural(windows, 'window')} had no record and could show none." if empty else f"{text}."


def findings(standing: int, standing_alerts: int, gone: int, gone_alerts: int) -> str:
    """`1 finding was open when the period ended (2 alerts); 3 resolved during it (5 alerts).`"""
    text = f"{capital(plural(standing, 'finding'))} {'was' if standing == 1 else 'were'} open when the period ended"
    text += f" ({plural(standing_alerts, 'alert')})" if standing else ""
    more = f"; {gone} {'more ' if standing else ''}resolved during it ({plural(gone_alerts, 'alert')})" if gone else ""
    return f"{text}{more}."


def baseline(found: Baseline | None) -> str:
    """The baseline as a reader names it, or that there is none."""
    if found is None:
        return "nothing: no baseline is pinned"
    return (
        f"the baseline of {window(found.span)} ({plural(found.n, 'record')}), pinned by {found.by} on {day(found.at)}"
    )


def broken(failed: int, windows: int, without_verdict: int) -> str:
    """`7 of 21 windows broken, 2 without a verdict`."""
    text = f"{failed} of {plural(windows, 'window')} broken"
    return f"{text}, {without_verdict} without a verdict" if without_verdict else text
