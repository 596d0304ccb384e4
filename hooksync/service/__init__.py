"""Preservica and receivers over HTTP: one call, its bounds and retries, log-in, what answers mean.

No plan and no hooks file is known here; the exceptions of requests stop in http_errors.py.
Begin with client.py, then http.py.
"""
