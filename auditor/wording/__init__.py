"""Facts -> English: one room for terminal, alert, page and report alike. Nothing anywhere reads a sentence back."""

from auditor.wording import backlogs
from auditor.wording.details import detail, grid
from auditor.wording.figures import (
    count_of,
    figure,
    finding,
    framework,
    how_sure,
    interval_text,
    limit,
    provision,
    reach,
    title_of,
    value,
    where,
)
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
    rarity,
    span_of,
)
from auditor.wording.reasons import reason
from auditor.wording.times import day, how_often, length, moment, versions, window, window_ending
from auditor.wording.verdicts import alone, body, brief

__all__ = [
    "alone",
    "backlogs",
    "body",
    "brief",
    "capital",
    "chance",
    "column",
    "column_of",
    "count_of",
    "day",
    "detail",
    "figure",
    "finding",
    "framework",
    "grid",
    "how_often",
    "how_sure",
    "interval_text",
    "is_share",
    "length",
    "limit",
    "listing",
    "metric_name",
    "moment",
    "number",
    "percent",
    "plural",
    "provision",
    "quantity",
    "rarity",
    "reach",
    "reason",
    "span_of",
    "subject",
    "title_of",
    "value",
    "versions",
    "where",
    "window",
    "window_ending",
]
