"""One view of a plan or a run, and its renderings: text, Markdown, HTML; a check likewise.

Pure: it makes strings and prints nothing; what it is given may be shown.
Begin with view.py, then text.py.
"""
