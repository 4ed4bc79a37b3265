"""CLAD, the cross-lingual student of ADAM."""
