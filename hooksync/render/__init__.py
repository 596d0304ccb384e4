"""The renderings of a plan: `RENDERERS` maps each format to a function; and list, notice, metrics.

It makes strings and prints nothing; what it is given may be shown. html.py reads its own page.html.
Begin with renderers.py, then text.py.
"""
