"""Metrics of regression, of binary labels and of a recipe's targets, and their tables. NumPy only."""
