"""The agent: what runs inside a model's process. It never raises into, blocks, slows or outlives its host."""

from __future__ import annotations

from auditor.agent.agent import Agent

__all__ = ["Agent"]
