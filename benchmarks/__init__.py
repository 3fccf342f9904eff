"""Benchmarks: ``python -m benchmarks.run``.  They are not tests."""
