"""The fault matrix: whatever goes wrong, hooksync keeps its word. See `python -m tests.faults --help`."""
