"""What every package shares: nouns, errors, URLs, templates, redaction, files, the one exit.

It imports no other package. output.py writes; reading.py and schema.py read; programs.py and git.py
start programs; origin.py asks the system for the host and the user; clock.py waits.
Begin with model.py.
"""
