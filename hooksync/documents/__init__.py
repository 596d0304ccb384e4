"""Versioned JSON in and out: a plan, a report, the digest and signature that seal them, a saved plan's replay.

Pure: no disk, no network, no clock; what a document holds is never believed before it is checked.
Begin with writer.py, then reader.py.
"""
