"""An extractor, a head and a recipe for featzoo."""
