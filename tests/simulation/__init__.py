"""A deterministic simulation: the whole engine in one process, against a service, a clock and a
disk of one seed.

Begin with history.py (what happens, as data), then play.py (how it is played).
The manual is docs/internals/simulation.md.
"""
