"""Heads, and how they are trained and judged. This, `recipes` and `metrics` import no torch."""

from featzoo.zoo.metrics import format_metrics, sentiment_metrics
from featzoo.zoo.recipes import Recipe, find_recipe, recipes

__all__ = ["Recipe", "find_recipe", "format_metrics", "recipes", "sentiment_metrics"]
