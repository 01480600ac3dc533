"""Drivers: one sensor, one file."""
