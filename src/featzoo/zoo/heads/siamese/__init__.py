"""The Siamese cross-modal model."""
