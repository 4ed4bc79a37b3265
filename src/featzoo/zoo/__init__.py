"""Training, evaluation and application of heads."""
