"""Campaigns that take hours: run in pieces, kept as they end, told in docs/soak.md. Command: `make soak`."""
