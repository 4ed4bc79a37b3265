"""Extractors of vision features."""
