"""Measurements against peers and limits in the same run. Nothing here asserts a time."""
