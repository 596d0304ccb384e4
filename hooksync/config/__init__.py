"""Hooks files and the environment -> the tenancies as they are wanted, with every problem at once.

No network; a value of the environment or of a secret is in no message.
Begin with document.py, then resolve.py.
"""
