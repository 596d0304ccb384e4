"""Benchmarks: `python -m tests.bench` measures speed and size against their limits. No test fails
because of a time.
"""
