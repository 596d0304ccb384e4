"""Credentials of other tools on this machine: hooksync sends none, shows none, and needs none."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.attacks.scene import COMMANDS, Scene, leaks, play
from tests.lanes import covering

LOGIN, PASSWORD = "netrc-login-0123456789", "netrc-passw0rd-0123456789"
ENTRIES = {
    "for the host": f"machine {{host}} login {LOGIN} password {PASSWORD}\n",
    "for the host and its port": f"machine {{host}}:443 login {LOGIN} password {PASSWORD}\n",
    "for all": f"default login {LOGIN} password {PASSWORD}\n",
    "with a macro": f"machine {{host}} login {LOGIN} password {PASSWORD}\nmacdef init\n\tput x\n\n",
    "broken": f"machine {{host}} login {LOGIN} passwrod {PASSWORD}\n",
    "binary": f"\0machine {{host}} {LOGIN} {PASSWORD}\n",
}
PLACES = ("NETRC", ".netrc", "_netrc")
HOSTS = ("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    ("entry", "place", "host", "command"), covering(product(ENTRIES, PLACES, HOSTS, COMMANDS))
)
def test_a_netrc_is_neither_read_nor_sent(
    entry: str, place: str, host: str, command: str, tmp_path: Path
) -> None:
    file = tmp_path / ("netrc" if place == "NETRC" else place)
    file.write_text(ENTRIES[entry].format(host=host))
    file.chmod(0o600)
    where = (
        {"NETRC": str(file)}
        if place == "NETRC"
        else {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    )
    seen = play(COMMANDS[command], Scene(host=host, environ=where))
    assert seen.run.code == 0, seen.shown
    assert seen.requests
    sent = b"".join((*seen.requests, *seen.challenges)).lower()
    assert b"\r\nauthorization:" not in sent
    assert LOGIN.encode() not in sent
    assert leaks(seen.shown, (LOGIN, PASSWORD)) == []
