"""The routes, one file per kind; who may call them stands in `auditor.service.access`."""
