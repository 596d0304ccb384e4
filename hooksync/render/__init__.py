"""The renderings of a plan: `RENDERERS` maps each format to a function; and list, notice, metrics.

Pure: it makes strings and prints nothing; what it is given may be shown.
Begin with renderers.py, then text.py.
"""
