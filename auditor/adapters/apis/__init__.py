"""Clients of models behind an API."""
