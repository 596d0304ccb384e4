"""What hooksync remembers: subscriptions that it made, fingerprints of secrets, attempts.

It knows no hooks file and no service; only the store touches the disk.
Begin with model.py.
"""
