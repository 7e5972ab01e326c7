"""Simulated worlds, and what the statistics of the report promise in them."""
