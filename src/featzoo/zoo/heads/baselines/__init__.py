"""Baselines with which other heads are compared."""
