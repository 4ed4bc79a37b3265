"""Clips, their containers, transcripts and how they are found."""
