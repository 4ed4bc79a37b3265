"""The feature store and exchange with other formats."""
