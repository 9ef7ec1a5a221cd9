"""The bundle of an incident that can be checked elsewhere: made, read, and run again."""
