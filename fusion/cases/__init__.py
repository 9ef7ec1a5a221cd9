"""What is remembered of a flight beside its alerts: cases, groups, sightings, and where to look for what is lost."""
