"""A figure and its limit as clauses: `energy per inference is 5.82× the baseline`, `at most 5 %`."""

from __future__ import annotations

from auditor.core.measurement import Measurement
from auditor.policy.decision import is_e_value
from auditor.policy.schema import Condition
from auditor.registry import vocabulary
from auditor.wording.metrics import column_of, metric_name, subject, subject_name
from auditor.wording.numbers import number, quantity
from auditor.wording.reasons import reason


def clause(m: Measurement) -> str:
    """The figure as a clause. Known metrics have clauses of their own; the rest read `the metric is value`."""
    at = m.attributes
    if m.value is None:
        about = subject(m.attributes)
        return f"the {metric_name(m.metric)}{f' ({about})' if about else ''} is not known: {reason(m.reason)}"
    spec = vocabulary().metric(m.metric)
    template = (spec.clause if spec is not None else "") or "the {metric}{of} is {value}"
    column = subject_name(at, "") or "the inputs"
    modality = at.get("modality", "").replace("_", " ")
    return template.format(
        metric=metric_name(m.metric),
        value=value_text(m),
        column=column,
        of=f" of {column}" if "column" in at else "",
        input=" ".join(part for part in ("the", modality, "input", at["input"]) if part)
        if "input" in at
        else "an input",
        pair=" and ".join(at["pair"].split("~")) if "pair" in at else "the inputs",
        feature=at.get("feature", ""),
        group=at.get("group", ""),
    )


def bare(m: Measurement) -> str:
    """The name of the metric, its column and the value."""
    about = column_of(m.attributes)
    return f"{metric_name(m.metric)}{f' of {about}' if about else ''} {value_text(m)}"


def value_text(m: Measurement) -> str:
    """Its value in the one form that readers see."""
    value = m.value or 0.0
    return multiple(value) if is_e_value(m) else quantity(value, m.unit, m.metric)


def limit(condition: Condition, m: Measurement) -> str:
    """The condition in the form of the figure that is held against it: `at most 5 %`."""
    return condition.text(lambda end: quantity(end, m.unit, m.metric))


def limit_of(value: float, m: Measurement) -> str:
    """A limit whose operator is not known: beyond it lies the figure."""
    bound = "at least" if m.value is not None and m.value < value else "at most"
    return f"{bound} {quantity(value, m.unit, m.metric)}"


def multiple(value: float) -> str:
    """A multiple, which may be enormous.

    >>> multiple(12.3), multiple(3.2e7), multiple(1e200)
    ('12.3', '3.2e+07', '1.0e+200')
    """
    return f"{value:.1e}" if value >= 1e6 else number(value)


def limit_text(condition: Condition | None) -> str:
    """The condition in words, for listings."""
    return condition.text() if condition is not None else "a signed statement"
