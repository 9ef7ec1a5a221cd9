"""The files that people write: read strictly, refused with file, line and cure."""
