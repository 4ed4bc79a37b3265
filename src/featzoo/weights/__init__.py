"""Model weights: what is known of them, and where they lie."""
