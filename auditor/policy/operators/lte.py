"""The figure is at most the limit."""

from auditor.ports import Operator

PLUGIN = Operator("at most {high}", 1, lambda limit: (None, limit))
