"""Extractors of text features."""
