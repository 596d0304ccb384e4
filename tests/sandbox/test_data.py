"""What outlives a sandbox: its subscriptions, in a file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.http_server import SandboxError
from hooksync.sandbox.tenancies import SandboxOptions, Subscription, load_data, save_data
from tests.boxes import Sandbox

HELD = {
    "DEMO": (
        Subscription("https://a.example/x", "MOVED", "a secret", True, "1" * 32),
        Subscription("https://a.example/x", "INGEST_FAILED", "coffee", False, "2" * 32),
    ),
    "OTHER": (),
}


def test_file_is_readable_by_its_owner_alone_even_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("{}")
    path.chmod(0o644)
    save_data(path, HELD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_failed_write_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "data.json").mkdir()
    with pytest.raises(SandboxError, match="cannot write the data file"):
        save_data(tmp_path / "data.json", HELD)
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]


def test_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot write the data file"):
        save_data(tmp_path / "missing" / "data.json", HELD)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"hooksync.sandbox/2": {}}',
        b'{"hooksync.sandbox/1": []}',
        b'{"hooksync.sandbox/1": {"DEMO": 5}}',
        b'{"hooksync.sandbox/1": {"DEMO": ["se-cret"]}}',
        b'{"hooksync.sandbox/1": {"DEMO": [{"secret": "se-cret"}]}}',
        b"[" * 100_000,
        b"\xff\xfe",
        None,
    ],
)
def test_file_that_no_sandbox_wrote_is_refused_without_being_quoted(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "data.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(
        SandboxError, match=r"was not written by a sandbox .*; remove it to start empty"
    ) as caught:
        load_data(path)
    assert "se-cret" not in str(caught.value)


def test_sandbox_goes_on_where_the_last_one_stopped(
    tmp_path: Path, start: Callable[..., Sandbox], connect: Callable[..., Any]
) -> None:
    path = tmp_path / "data.json"
    with Sandbox(SandboxOptions(data=path, traits=frozenset({"no-challenge"}))) as box:
        client = connect(box)
        gone, kept = (client.subscribe("https://a.example/x").json()["id"] for _ in range(2))
        client.unsubscribe(gone)
        before = box.subscriptions("DEMO")
    after = start(data=path).subscriptions("DEMO")
    assert after == before
    assert [each.id for each in after] == [kept]
