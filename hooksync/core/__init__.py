"""What every package shares: nouns, errors, URLs, templates, redaction, reading files, the one exit.

It touches nothing, but for output.py and reading.py, and imports nothing of hooksync's other packages.
Begin with model.py.
"""
