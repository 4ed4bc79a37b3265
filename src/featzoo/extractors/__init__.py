"""Extractors: raw media of one clip to one feature sequence."""
