"""Published pickles, read without executing them, and written."""
