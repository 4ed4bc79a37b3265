"""Metrics: of regression, of yes-or-no labels, of a recipe's targets; their tables. NumPy only."""
