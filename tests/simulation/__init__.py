"""A deterministic simulation: the whole engine runs in one process, from one seed.

The service, the clock and the disk are simulated. Begin with history.py, which describes what
happens as data. Then read play.py, which plays it. docs/internals/evidence.md has the manual.
"""
