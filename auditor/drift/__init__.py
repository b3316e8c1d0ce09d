"""Plugins that compare a window with its baseline; they measure only, thresholds live in policies."""
