"""Outcomes compared across groups: rates with intervals, gaps with a test of whether chance alone explains them."""
