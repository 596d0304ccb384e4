"""Every backend by its name, on a real server: the same state, through the same interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.core.errors import FileError
from hooksync.core.output import Output
from hooksync.state.contract import Changed, StateStore
from hooksync.state.format import state_text
from hooksync.state.store import open_store
from tests.backends import BACKENDS, Backend
from tests.state_makers import entry, state

ONE, OTHER = state_text(state(entry())), state_text(state(entry("test")))

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("backend", BACKENDS, indirect=True)]


@pytest.fixture
def place(tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hooks"
    folder.mkdir()
    backend.prepare(folder)
    for name, value in backend.environ.items():
        monkeypatch.setenv(name, value)  # obstore reads them by itself
    return folder / "hooks.yaml"


def opened(backend: Backend, place: Path) -> StateStore:
    return open_store(backend.where, backend.environ, str(place), Output())


def test_one_run_reads_what_another_wrote(backend: Backend, place: Path) -> None:
    one, other = opened(backend, place), opened(backend, place)
    assert one.read() is None
    one.write(ONE, None)
    assert other.read() == ONE
    other.write(OTHER, ONE)
    assert one.read() == OTHER


def test_nothing_is_written_over_what_another_run_wrote(backend: Backend, place: Path) -> None:
    one, other = opened(backend, place), opened(backend, place)
    assert one.read() is other.read() is None
    one.write(ONE, None)
    with pytest.raises(Changed):
        other.write(OTHER, None)
    stale = other.read()
    one.write(OTHER, stale)
    with pytest.raises(Changed):
        other.write(ONE, stale)
    assert one.read() == OTHER


def test_a_backend_that_cannot_be_reached_is_an_error_and_not_the_lack_of_a_state(
    backend: Backend, place: Path
) -> None:
    if backend.network is None:
        folder = place.parent.parent
        (folder / "remote" / "remote.git").rename(folder / "gone")
    else:
        backend.network.cut()
    store = opened(backend, place)
    for call in (store.read, lambda: store.write(ONE, None)):
        with pytest.raises(FileError, match=backend.where):
            call()
