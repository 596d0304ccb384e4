"""A local Preservica with receivers, to try hooksync on and to test it with, and the demo.

It shares with the client only hooksync.receiver and the plain server of `listen`, so that no
mistake can hide in both.
Begin with server.py.
"""
