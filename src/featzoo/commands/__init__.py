"""The commands, one file a family: declared, called and printed in one place."""
