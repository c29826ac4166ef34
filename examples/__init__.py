"""Adapters that map real public data into the landing contract."""
