"""What every package shares: nouns, errors, URLs, templates, redaction, files, programs, the one exit.

It touches nothing, but for output.py, reading.py, programs.py, git.py, and imports no other package of hooksync.
Begin with model.py.
"""
