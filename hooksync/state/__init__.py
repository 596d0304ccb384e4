"""What hooksync remembers: which subscriptions it made, with a fingerprint of each secret; the journal of a run.

It knows no hooks file and no service; only the store touches the disk.
Begin with model.py.
"""
