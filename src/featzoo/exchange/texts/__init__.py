"""Importers of texts with labels."""
