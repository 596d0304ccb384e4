"""What every package shares: nouns, errors, URLs, templates, redaction, files, programs, the one exit.

It touches nothing, but for output.py, reading.py, programs.py and git.py, and imports nothing of
hooksync's other packages. Begin with model.py.
"""
