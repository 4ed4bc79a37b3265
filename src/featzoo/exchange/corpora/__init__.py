"""Imports of published corpora, one file each."""
