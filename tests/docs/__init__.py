"""The pages of docs/: every command and snippet is run from what a stranger also has."""
