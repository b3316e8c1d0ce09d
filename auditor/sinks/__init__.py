"""Copies of an audit, made after it was committed: MLflow, files, webhooks, Prometheus."""
