"""From stored features to batches."""
