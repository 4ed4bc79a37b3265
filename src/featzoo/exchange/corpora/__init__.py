"""Importers of published corpora, one file each."""
