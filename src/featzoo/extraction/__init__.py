"""From clips and extractors to a store: planning, batching, workers and engines."""
