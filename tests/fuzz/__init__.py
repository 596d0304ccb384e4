"""Throws broken bytes at the readers of foreign bytes. `python -m tests.fuzz --help` says how."""
