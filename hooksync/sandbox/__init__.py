"""A local Preservica with receivers, to try hooksync on and to test it with, and the demo.

It shares nothing with the client but hooksync.receiver, so that one wrong belief cannot hide in both.
Begin with server.py.
"""
