"""Extractors of audio features."""
