"""Layers, losses and encoders shared by several heads."""
