"""A local Preservica with receivers, to try hooksync on and to test it with, and the demo.

It shares only hooksync.receiver with the client, so that no mistake can hide in both.
Begin with server.py.
"""
