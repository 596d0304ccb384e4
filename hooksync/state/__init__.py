"""What hooksync remembers: subscriptions that it made, fingerprints of secrets, attempts.

It reads no hooks file and calls no service; the name of the first hooks file gives the place of a
state. Only local.py touches the disk; git.py and cloud.py reach other machines.
Begin with model.py.
"""
