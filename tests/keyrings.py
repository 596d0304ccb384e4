"""Keyrings of the tests' own, which `keyring` takes when PYTHON_KEYRING_BACKEND names one."""

from __future__ import annotations

import os
import time

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Memory(KeyringBackend):
    """Holds one entry, whose password a variable gives."""

    priority = 1

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def get_password(self, service: str, username: str) -> str | None:
        return (
            os.environ["PASSWORD_IN_THE_KEYRING"]
            if (service, username) == ("hooksync", "catalogue")
            else None
        )


class Locked(Memory):
    """Nobody is there to unlock it; its error says more than it should."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(os.environ["PASSWORD_IN_THE_KEYRING"])


class Waiting(Memory):
    """Asks somebody, and waits for an answer."""

    def get_password(self, service: str, username: str) -> str | None:
        time.sleep(60)
        return None
