"""Heads, and how they are trained, evaluated and applied."""
