"""Borders, ground and places: how far, how soon, over which state, with its uncertainty."""
