"""Heads for one, two or three inputs, on pooled features."""
