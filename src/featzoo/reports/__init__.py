"""Self-contained HTML reports on feature stores and runs."""
