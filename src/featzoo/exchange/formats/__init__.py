"""File formats of other projects, in and out, one file each."""
