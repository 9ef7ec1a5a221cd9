"""Trackers by others' filters and others' frameworks, given a fair chance on the same measurements."""
