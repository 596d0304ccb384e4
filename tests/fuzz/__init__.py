"""Fuzzes the functions that read bytes from outside. Usage: `python -m tests.fuzz --help`."""
