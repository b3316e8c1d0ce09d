"""The figure is above the limit."""

from auditor.ports import Operator

PLUGIN = Operator("above {low}", 1, lambda limit: (limit, None), strict=True)
