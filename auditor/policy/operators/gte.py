"""The figure is at least the limit."""

from auditor.ports import Operator

PLUGIN = Operator("at least {low}", 1, lambda limit: (limit, None))
