"""Callables, and ASGI applications."""
