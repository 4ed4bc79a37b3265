"""featzoo: raw media to feature sequences, and published heads trained on them."""

__version__ = "0.1.0"
