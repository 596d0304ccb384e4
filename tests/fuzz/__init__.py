"""Throws broken bytes at the readers of bytes from outside. `python -m tests.fuzz --help` says how."""
