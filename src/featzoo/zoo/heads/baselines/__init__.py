"""The models that heads are compared with."""
