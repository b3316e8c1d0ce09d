"""What a canary's records look like: the one thing that the agent's side and the measuring side have to agree on."""

from __future__ import annotations

SUFFIX = ".canary"
"""Ends the name of the model that canaries are watched as."""


def answer_label(canary: str, digest: str) -> str:
    """The class of one answer: which canary, and a digest that equal answers share."""
    return f"{canary}={digest}"


def canary_of(label: str) -> str | None:
    """The canary that a class of answers belongs to; None for what is no such class.

    >>> canary_of(answer_label("capital", "9f86d081")), canary_of("cat")
    ('capital', None)
    """
    canary, separator, _ = label.rpartition("=")
    return canary if separator else None
