"""Public help for whoever writes plugins or tests against auditor: factories, synthetic rows, a clock, contract checks.

Nothing here needs pytest; a failed check is an AssertionError that says which rule was broken.
"""

from auditor.testing.checks import (
    check_descriptor,
    check_encoder,
    check_measurer,
    check_meter,
    check_operator,
    check_options,
    check_sink,
)
from auditor.testing.clock import FrozenClock
from auditor.testing.factories import (
    make_alert,
    make_audit,
    make_baseline,
    make_label,
    make_measurement,
    make_record,
    make_run,
    make_store,
    make_verdict,
)
from auditor.testing.synthetic import make_records, make_rows, make_state, make_window

__all__ = [
    "FrozenClock",
    "check_descriptor",
    "check_encoder",
    "check_measurer",
    "check_meter",
    "check_operator",
    "check_options",
    "check_sink",
    "make_alert",
    "make_audit",
    "make_baseline",
    "make_label",
    "make_measurement",
    "make_record",
    "make_records",
    "make_rows",
    "make_run",
    "make_state",
    "make_store",
    "make_verdict",
    "make_window",
]
