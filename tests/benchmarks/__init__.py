"""Benchmarks beside our peers: `python -m tests.benchmarks`."""
