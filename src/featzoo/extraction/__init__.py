"""Extraction of clips into a store: planning, batching, workers and engines."""
