"""A new secret, from the operating system's source of chance."""

from __future__ import annotations

import secrets

_BYTES = 32  # of chance; as many as an HMAC-SHA256 makes use of


def generate_secret() -> str:
    """Make a secret that service and receiver can share: 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(_BYTES)
