"""Conversion of stored features to batches."""
