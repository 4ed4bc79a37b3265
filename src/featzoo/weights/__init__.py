"""Model weights: the catalogue, and finding, checking and downloading them."""
