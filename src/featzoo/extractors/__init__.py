"""Extractors, which compute one feature sequence from the raw media of one clip."""
