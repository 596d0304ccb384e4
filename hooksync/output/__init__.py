"""The view of a plan or a run, its renderings, and a module for each JSON document.

Pure: it makes strings and prints nothing; what it is given may be shown.
Begin with view.py, then text.py.
"""
