"""The receiver's side: challenges, signed events, the suite of tests, and explanations of failures.

It reports that a receiver works on events only if a response or a log proves that.
Begin with challenges.py.
"""
