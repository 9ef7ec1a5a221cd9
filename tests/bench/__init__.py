"""Benchmarks: every figure is a ratio or a rate taken in one run."""
