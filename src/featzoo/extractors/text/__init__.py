"""Extractors of words."""
