"""What every package shares: nouns, errors, URLs, templates, redaction, files, the one exit.

Only output.py, reading.py, programs.py and git.py have effects; it imports no other package.
Begin with model.py.
"""
