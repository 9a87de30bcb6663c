"""Benchmarks against micrograd: `python -m tests.benchmarks`."""
