"""TLS: a peer that cannot prove to be the declared host gets no request, with any certificate."""

from __future__ import annotations

import ssl
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.attacks.scene import APPLY, COMMANDS, PLAN, Scene, leaks, play, steers
from tests.lanes import covering
from tests.wire import Certificate, make_certificate

HOSTS = ("127.0.0.1", "localhost")
FAULTS = (
    "unknown",  # signed by no authority that this machine trusts
    "expired",
    "not yet valid",
    "another name",
    "another address",
    "a name that begins alike",
    "a name that ends alike",
    "any name",
    "any name of a domain",
    "a name in a domain",
    "no names",
    "for clients",
    "an old protocol",
)
ATTACKS = list(product(FAULTS, HOSTS, COMMANDS))


def certificate_with(fault: str, host: str, folder: Path) -> Certificate:
    names = {
        "another name": "evil.example",
        "another address": "127.0.0.2",
        "a name that begins alike": f"{host}.evil.example",
        "a name that ends alike": f"not-{host}",
        "any name": "*",
        "any name of a domain": "*.0.0.1" if host[0].isdigit() else "*host",
        "a name in a domain": f"*.{host}",
    }
    days = {"expired": -1, "not yet valid": 20}.get(fault, 1)
    kind = fault if fault in ("no names", "for clients") else ""
    return make_certificate(folder, names.get(fault, host), days=days, fault=kind)


def _scene(fault: str, host: str, folder: Path, *, is_receiver: bool = False) -> Scene:
    certificate = certificate_with(fault, host, folder)
    if fault == "an old protocol":
        certificate.server.minimum_version = ssl.TLSVersion.TLSv1
        certificate.server.maximum_version = ssl.TLSVersion.TLSv1_1
    environ = {} if fault == "unknown" else {"REQUESTS_CA_BUNDLE": str(certificate.pem)}
    side = {"receiver_tls" if is_receiver else "tls": certificate.server}
    return Scene(host=host, environ=environ, **side)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("fault", "host", "command"), covering(ATTACKS, key=lambda row: (row[:2], row[2]))
)
def test_a_server_that_cannot_prove_its_name_gets_no_request(
    fault: str, host: str, command: str, tmp_path: Path
) -> None:
    seen = play(COMMANDS[command], _scene(fault, host, tmp_path))
    assert seen.requests == ()
    assert seen.run.code == 1
    assert "SSL" in seen.shown or "certificate" in seen.shown
    assert "if it has expired, ask whoever runs the server" in seen.shown or "SSL" in seen.shown
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("fault", "host", "command"),
    covering(product(FAULTS, HOSTS, ("apply", "check", "check, JSON"))),
)
def test_a_receiver_that_cannot_prove_its_name_gets_no_challenge(
    fault: str, host: str, command: str, tmp_path: Path
) -> None:
    seen = play(COMMANDS[command], _scene(fault, host, tmp_path, is_receiver=True))
    assert seen.challenges == ()
    assert seen.run.code == (3 if command == "apply" else 1)
    assert not [request for request in seen.requests if request.startswith(b"POST /api/webhook/")]
    assert leaks(seen.shown) == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("is_receiver", [False, True])
def test_a_peer_that_proves_its_name_is_called(
    host: str, is_receiver: bool, tmp_path: Path
) -> None:
    seen = play(APPLY, _scene("", host, tmp_path, is_receiver=is_receiver))
    assert (seen.run.code, len(seen.challenges)) == (0, 1)


def test_an_env_file_adds_no_certificates_that_hooksync_trusts(tmp_path: Path) -> None:
    scene = _scene("", "127.0.0.1", tmp_path)
    variables = tmp_path / "variables.env"
    variables.write_text(f"REQUESTS_CA_BUNDLE={scene.environ['REQUESTS_CA_BUNDLE']}\n")
    seen = play((*PLAN, "--env-file", str(variables)), replace(scene, environ={}))
    assert (seen.run.code, seen.requests) == (1, ())
