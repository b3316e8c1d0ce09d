"""Frozen plain data: what travels through auditor. Standard library and numpy only."""
