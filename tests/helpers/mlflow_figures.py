"""Whether MLflow and the store hold the same figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from auditor.core.measurement import Measurement
from auditor.core.run import Audit
from auditor.sinks.mlflow import metrics_of


def differences(audit: Audit, logged: Mapping[str, float], stored: Iterable[Measurement]) -> Iterator[str]:
    """What does not agree between an audit, the metrics MLflow holds for its run, and the rows the store holds.

    Value by value, with no tolerance. Yields one line a difference.
    """
    expected = metrics_of(audit)
    for key in sorted(expected.keys() | logged.keys()):
        if expected.get(key) != logged.get(key):
            yield f"MLflow {key}: {logged.get(key)} instead of {expected.get(key)}"
    rows = {found.id: found for found in stored}
    for found in audit.measurements:
        if found.id not in rows:
            yield f"store {found.series}: missing"
        elif rows[found.id].value != found.value:
            yield f"store {found.series}: {rows[found.id].value} instead of {found.value}"
