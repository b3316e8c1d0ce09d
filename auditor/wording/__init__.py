"""Facts -> English: one room for terminal, alert, page and report alike. Nothing anywhere reads a sentence back."""

from auditor.wording import backlogs
from auditor.wording.alerts import advice, brief, changed, doubt, headline, lasted
from auditor.wording.clauses import clause
from auditor.wording.details import detail, grid
from auditor.wording.figures import figure, how_sure, value
from auditor.wording.losses import lost
from auditor.wording.metrics import column, column_of, metric_name, subject
from auditor.wording.numbers import (
    capital,
    chance,
    is_share,
    listing,
    number,
    percent,
    plural,
    quantity,
    span_of,
)
from auditor.wording.reasons import reason
from auditor.wording.times import day, length, moment, versions, window
from auditor.wording.verdicts import body, held_briefly, reach, sentences, title, where

__all__ = [
    "advice",
    "backlogs",
    "body",
    "brief",
    "capital",
    "chance",
    "changed",
    "clause",
    "column",
    "column_of",
    "day",
    "detail",
    "doubt",
    "figure",
    "grid",
    "headline",
    "held_briefly",
    "how_sure",
    "is_share",
    "lasted",
    "length",
    "listing",
    "lost",
    "metric_name",
    "moment",
    "number",
    "percent",
    "plural",
    "quantity",
    "reach",
    "reason",
    "sentences",
    "span_of",
    "subject",
    "title",
    "value",
    "versions",
    "where",
    "window",
]
