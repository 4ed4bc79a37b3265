"""Published pickles, read without running what they ask for, and written."""
