"""Benchmarks: `python -m tests.bench` measures speed and size against the budget, and against another client.

Everything is measured on whole processes, as users pay for them, and what is compared is measured in turn within one
run: on a busy machine the ratios still hold where the times do not. Not part of the tests: nothing fails by a time.
"""
