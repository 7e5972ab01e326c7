"""Calibration of the report's statistics in simulated worlds."""
