"""Preservica and receivers over HTTP: one call, its bounds and retries, log-in, what answers mean.

Nothing here knows plans or hooks files. The exceptions of requests stop in http.py.
Begin with client.py, then http.py.
"""
