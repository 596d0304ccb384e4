"""pyPreservica, unchanged, as a client of a sandbox.

It reads the environment and `credentials.properties` of the working folder: see `no_credentials`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyPreservica import WebHooksAPI

from tests.boxes import Sandbox

CREDENTIALS = {
    "username": "archivist@example.org",
    "password": "sandbox-password",
    "tenant": "DEMO",
}


@contextmanager
def web_hooks_api(box: Sandbox, **options: Any) -> Iterator[WebHooksAPI]:
    """Log in to a sandbox, and yield the API of its webhooks."""
    server = box.url.removeprefix("http://")
    api = WebHooksAPI(**{**CREDENTIALS, **options}, server=server, protocol="http")
    try:
        yield api
    finally:
        api.session.close()
        api.auth_session.close()


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all credentials from the environment, and change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PRESERVICA_")]:
        monkeypatch.delenv(name)
