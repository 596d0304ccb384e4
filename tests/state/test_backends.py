"""Tests of all backends on real servers, through the interface that all stores share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.core.errors import StateError
from hooksync.state.contract import Changed
from hooksync.state.format import state_text
from hooksync.state.store import StateStore, open_store
from tests.backends import BACKENDS, Backend
from tests.memory_terminal import make_context
from tests.state_makers import elsewhere, entry, state

ONE, OTHER = state_text(state(entry())), state_text(state(elsewhere("test")))

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("backend", BACKENDS, indirect=True)]


@pytest.fixture
def place(tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hooks"
    folder.mkdir()
    backend.prepare(folder)
    for name, value in backend.environ.items():
        monkeypatch.setenv(name, value)  # obstore reads the variables itself
    return folder / "hooks.yaml"


def opened(backend: Backend, place: Path) -> StateStore:
    return open_store(backend.where, str(place), make_context(backend.environ))


def test_a_run_reads_the_state_that_a_different_run_wrote(backend: Backend, place: Path) -> None:
    one, other = opened(backend, place), opened(backend, place)
    assert one.read() is None
    one.write(ONE, None, "")
    assert other.read() == ONE
    other.write(OTHER, ONE, "")
    assert one.read() == OTHER


def test_no_write_replaces_a_state_that_a_different_run_changed(
    backend: Backend, place: Path
) -> None:
    one, other = opened(backend, place), opened(backend, place)
    assert one.read() is other.read() is None
    one.write(ONE, None, "")
    with pytest.raises(Changed):
        other.write(OTHER, None, "")
    stale = other.read()
    one.write(OTHER, stale, "")
    with pytest.raises(Changed):
        other.write(ONE, stale, "")
    assert one.read() == OTHER


def test_an_unreachable_backend_is_an_error_and_not_a_missing_state(
    backend: Backend, place: Path
) -> None:
    if backend.network is None:
        folder = place.parent.parent
        (folder / "remote" / "remote.git").rename(folder / "gone")
    else:
        backend.network.cut()
    store = opened(backend, place)
    for call in (store.read, lambda: store.write(ONE, None, "")):
        with pytest.raises(StateError, match=backend.where):
            call()
