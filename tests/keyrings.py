"""Keyrings for tests. `keyring` uses the one that PYTHON_KEYRING_BACKEND names."""

from __future__ import annotations

import os
import time

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Memory(KeyringBackend):
    """A keyring with one entry, whose password is in a variable."""

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
    """A keyring that nobody unlocks. Its error contains the password, as it should not."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(os.environ["PASSWORD_IN_THE_KEYRING"])


class Waiting(Memory):
    """A keyring that waits a minute, as for a person to unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        time.sleep(60)
        return None
