"""The view of a plan or a run, its renderings, and all JSON documents that hooksync writes: a module each.

Pure: it makes strings and prints nothing; what it is given may be shown.
Begin with view.py, then text.py.
"""
