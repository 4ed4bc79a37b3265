"""Heads, and how they are trained and judged. This, `recipes` and `metrics` import no torch."""

from featzoo.zoo.metrics.regression import format_metrics, sentiment_metrics
from featzoo.zoo.recipe import Recipe, find_recipe, recipes

__all__ = ["Recipe", "find_recipe", "format_metrics", "recipes", "sentiment_metrics"]
