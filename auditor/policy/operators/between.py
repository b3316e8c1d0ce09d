"""The figure lies in a range, both ends included."""

from auditor.ports import Operator

PLUGIN = Operator("between {low} and {high}", 2, lambda low, high: (low, high))
