"""Joules beside a model: meters, and how their readings are shared out to calls."""
