"""Run folders: made, read, compared and applied."""
