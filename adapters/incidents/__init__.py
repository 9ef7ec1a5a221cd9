"""Incidents as people read them later: the database, and its reports, maps and statistics."""
