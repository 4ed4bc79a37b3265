"""Import and export of other projects' file formats, one module each."""
