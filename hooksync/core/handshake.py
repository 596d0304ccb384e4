"""The HMAC recipes that Preservica and a receiver share: answer a challenge, sign and verify an event. Pure.

Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live tenancy.
"""

from __future__ import annotations

import hashlib
import hmac

EVENT_PREFIX = b"preservica-webhook-auth"  # goes before the body of an event when it is signed


def answer_challenge(secret: bytes, code: bytes) -> str:
    """Sign a challenge code: lower-case hex HMAC-SHA256 of the code under the secret."""
    return hmac.new(secret, code, hashlib.sha256).hexdigest()


def sign_event(secret: bytes, body: bytes) -> str:
    """Sign an event: lower-case hex HMAC-SHA256 of the prefix and the body (raw bytes, as sent)."""
    return hmac.new(secret, EVENT_PREFIX + body, hashlib.sha256).hexdigest()


def verify_event(secret: bytes, body: bytes, signature: str) -> bool:
    """Whether, compared in constant time, a `Preservica-Signature` header fits the body (raw bytes, as received)."""
    return hmac.compare_digest(sign_event(secret, body).encode(), signature.encode("utf-8", "replace"))


def is_event_in_disguise(code: bytes) -> bool:
    """Whether a challenge code begins with the event prefix.

    Its answer would be the valid signature of a forged event, so a careful receiver does not sign it.
    """
    return code.startswith(EVENT_PREFIX)
