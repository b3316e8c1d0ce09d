"""The figure is below the limit."""

from auditor.ports import Operator

PLUGIN = Operator("below {high}", 1, lambda limit: (None, limit), strict=True)
