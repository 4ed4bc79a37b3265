"""Layers, losses and encoders that several heads share."""
