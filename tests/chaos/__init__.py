"""Faults on purpose: seeded schedules against a real broker and a real service, and an accountant who counts after."""
