"""Versioned JSON in and out: a plan, a report, a list; what seals a plan; a saved plan, read and replayed.

Pure: no disk, no network, no clock; what a document holds is never believed before it is checked.
Begin with writer.py, then reader.py.
"""
