"""Imports of texts with labels."""
