"""What every package shares: nouns, errors, URLs, templates, redaction, writing files.

It touches nothing, but for output.py, and imports nothing of hooksync's other packages.
Begin with model.py.
"""
