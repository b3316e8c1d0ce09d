"""The prefix that two rooms share about columns of a model's own heads."""

from __future__ import annotations

HEAD = "head."
"""Begins the columns that the model itself says about an input, beside those that the payload says."""
