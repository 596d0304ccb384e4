"""The commands for the receiver's side: `check` of one receiver, `verify` and `fire`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hooksync.receiver import sign_event
from hooksync.receivers.http_server import Connection, IncomingRequest, LoopbackServer, Reply
from tests.boxes import Receiver
from tests.command_line import Run, hooksync
from tests.shipped_receiver import shipped_receiver

SECRET = "s3cret-of-the-catalogue-0123456789"
KEY = "k3y-in-the-url-0123456789"
ENVIRON = {"HOOK_SECRET": SECRET, "FN_KEY": KEY}
NAMED = ("--secret", "env:HOOK_SECRET")


def run(*arguments: str, **more: str) -> Run:
    # a folder without a hooks file
    done = hooksync(arguments, {**ENVIRON, **more}, Path(__file__).parent)
    assert not [hidden for hidden in ENVIRON.values() if hidden in done.out + done.err]
    assert "internal error" not in done.err
    return done


def test_check_of_one_receiver_needs_neither_a_tenancy_nor_a_hooks_file() -> None:
    with Receiver({"hook": [SECRET]}) as receiver:
        done = run("check", "--url", f"{receiver.url('hook')}?code=${{FN_KEY}}", *NAMED)
        assert receiver.answers["hook", "challenge"] == 1
    assert (done.code, done.err) == (0, "")
    host = f"127.0.0.1:{receiver.port}"
    assert re.fullmatch(
        rf"ok        {host:<20}ready in \d+\.\d{{3}} s\n\nReceivers: 1 ok, 0 failed\.\n",
        done.out,
    )


def test_check_of_one_receiver_reports_the_fault_and_masks_the_key_in_its_url() -> None:
    with shipped_receiver("another-secret-0123456789") as url:
        done = run("check", "--url", f"{url}?code={KEY}", *NAMED, "--format", "json")
    assert done.code == 1
    [tenancy] = done.json["tenancies"]
    [step] = tenancy["steps"]
    assert (tenancy["name"], step["declared"]["url"]) == ("", f"{url}?code=***")
    assert step["receiver"]["detail"] == "it signs challenges with a different secret"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--url", "hook.example.org", *NAMED], "is neither http nor https"),
        (
            ["--url", "https://hook.example.org/${", *NAMED],
            "error: --url is empty or too long, or has a `${` without a name",
        ),
        (["--url", "https://hook.example.org/${KEY}", *NAMED], "not set: URL variable ${KEY}\n"),
        (["--url", "https://hook.example.org"], "error: --url and --secret name one receiver"),
        (
            ["--url", "https://hook.example.org", "--secret", SECRET],
            "error: argument --secret: the value is neither env:NAME nor file:PATH",
        ),
        (
            ["--url", "https://hook.example.org", "--secret", "env:HOOKSYNC_PLAN_KEY"],
            "HOOKSYNC_PLAN_KEY is for hooksync itself",
        ),
        (
            ["--url", "https://hook.example.org", *NAMED, "-f", "x"],
            "error: --url and --secret name one receiver",
        ),
        ([*NAMED], "error: --url and --secret name one receiver"),
    ],
)
def test_check_rejects_arguments_that_do_not_name_one_receiver(
    arguments: list[str], told: str
) -> None:
    done = run("check", *arguments)
    assert done.code in (1, 64)
    assert told in done.err


@pytest.mark.parametrize("command", ["check", "fire"])
def test_a_policy_applies_to_the_receiver_that_the_command_line_names(
    command: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nreceivers: ['*.example.org']\nsecret_kinds: [env]\n")
    done = run(command, "--url", "https://fn.example.net/${KEY}", *NAMED, "--policy", str(policy))
    assert done.code == 3
    said = {line.partition(": ")[2] for line in done.err.splitlines()[::2]}
    assert said == {
        f"the URL leads to a host or path, which the policy does not allow ({policy}:2)",
        (
            f"this uses the variable HOOK_SECRET, which the policy does not allow ({policy} has no"
            " secret_variables)"
        ),
        (
            f"this uses the variable KEY, which the policy does not allow ({policy} has no"
            " url_variables)"
        ),
    }


def test_a_url_whose_host_comes_from_a_secret_is_an_error() -> None:
    done = run("check", "--url", "https://${HOOK_SECRET}.example.org/", *NAMED)
    assert (done.code, "HOOK_SECRET contains a secret" in done.err) == (1, True)


BODY = b'{"trigger": "MOVED", "tenant": "Biblioth\xc3\xa8que"}'
SIGNATURE = sign_event(SECRET.encode(), BODY)
DECLARED = """\
version: 1
tenancies:
  archive:
    subscriptions:
      catalogue: {url: "https://fn.example.net/hook", triggers: [MOVED, INDEXED], secret: {env: HOOK_SECRET}}
      other: {url: "https://fn.example.net/other", trigger: MOVED, secret: {env: OTHER_SECRET}}
"""


def verify(
    folder: Path, *arguments: str, body: bytes = BODY, signature: str = SIGNATURE, **more: str
) -> Run:
    (folder / "event.json").write_bytes(body)
    (folder / "declared.yaml").write_text(DECLARED)
    given = [each.replace("declared", str(folder / "declared")) for each in arguments]
    return run(
        "verify",
        str(folder / "event.json"),
        *(["--signature", signature] if signature else []),
        *given,
        **more,
    )


def test_verify_skips_and_reports_a_declared_secret_that_is_not_set(tmp_path: Path) -> None:
    done = verify(tmp_path, "-f", "declared.yaml")
    assert done.code == 0
    assert done.out == "signed with env:HOOK_SECRET\n"
    assert "not set: secret env:OTHER_SECRET\n" in done.err


@pytest.mark.parametrize(
    ("body", "signature", "told"),
    [
        (BODY, sign_event(f"{SECRET}\n".encode(), BODY),
         "by env:HOOK_SECRET, the signature is made with the secret and a line break"),
        (json.dumps(json.loads(BODY), indent=2).encode(), SIGNATURE,
         "by env:HOOK_SECRET, the signature is made of the event written again as spaced JSON"),
        (BODY[:-9] + BODY[-8:], SIGNATURE, "signed with a different secret or in a different way, or the body was changed"),
    ],
)  # fmt: skip
def test_verify_reports_the_likely_reason_if_no_secret_signed_an_event(
    tmp_path: Path, body: bytes, signature: str, told: str
) -> None:
    done = verify(tmp_path, *NAMED, body=body, signature=signature)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("signed with none of env:HOOK_SECRET\n  ")
    assert told in done.out


def test_verify_takes_the_signature_of_a_recorded_event_from_its_headers(tmp_path: Path) -> None:
    headers = tmp_path / "event.json.headers"
    headers.write_text(f"Host: 127.0.0.1\nPRESERVICA-Signature: {SIGNATURE.upper()}\n")
    assert verify(tmp_path, *NAMED, signature="").code == 0
    headers.unlink()
    done = verify(tmp_path, *NAMED, signature="")
    assert (done.code, done.err.splitlines()[0]) == (64, "error: there is no signature to verify")


@contextmanager
def answering(status: int, text: str = "thank you") -> Iterator[tuple[str, list[IncomingRequest]]]:
    """Run a receiver that returns one answer to all requests and records the requests."""
    came: list[IncomingRequest] = []

    def respond(connection: Connection, request: IncomingRequest) -> None:
        came.append(request)
        connection.send(Reply(status, text.encode()))

    with LoopbackServer(0, respond) as server:
        yield f"http://127.0.0.1:{server.port}/hook", came


def test_fire_sends_an_event_like_preservica_and_reports_the_answer() -> None:
    with answering(200) as (url, came):
        done = run("fire", "--url", f"{url}?code={KEY}", *NAMED, "--trigger", "SECURITY_CHANGED")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"answered  event +200 in \d\.\d{3} s\n", done.out)
    [sent] = came
    assert (sent.method, sent.query, sent.headers["content-type"]) == (
        "POST",
        f"code={KEY}",
        "application/json",
    )
    assert sent.headers["transfer-encoding"] == "chunked"
    assert sent.headers["preservica-signature"] == sign_event(SECRET.encode(), sent.body)
    document = json.loads(sent.body)
    assert document["trigger"] == "CHANGED_SECURITY_DESCRIPTOR"
    assert set(document) == {
        "subscriptionId",
        "timestamp",
        "tenant",
        "version",
        "events",
        "trigger",
    }


def test_fire_at_a_declared_subscription_sends_its_trigger(
    tmp_path: Path,
) -> None:
    with answering(500, "an inner secret of this network") as (url, came):
        (tmp_path / "hooks.yaml").write_text(DECLARED.replace("https://fn.example.net/hook", url))
        done = run("fire", "archive/catalogue", "-f", str(tmp_path / "hooks.yaml"))
    assert done.code == 1
    assert json.loads(came[0].body)["trigger"] == "MOVED"
    assert re.match(r"failed    event +500 in", done.out)


def test_fire_sends_a_captured_event_byte_for_byte_with_a_new_signature(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(BODY + b"\n")
    with answering(200) as (url, came):
        assert run("fire", "--url", url, *NAMED, "--event", str(event)).code == 0
    [sent] = came
    signature = sign_event(SECRET.encode(), BODY + b"\n")
    assert (sent.body, sent.headers["preservica-signature"]) == (BODY + b"\n", signature)


def test_fire_reports_refused_connections_unknown_addresses_and_wrong_arguments(
    tmp_path: Path,
) -> None:
    with answering(200) as (url, _):
        pass
    done = run("fire", "--url", url, *NAMED)
    assert (done.code, "no connection to the server: Connection refused" in done.out) == (1, True)
    (tmp_path / "hooks.yaml").write_text(DECLARED)
    done = run("fire", "archive/none", "-f", str(tmp_path / "hooks.yaml"))
    assert (done.code, 'no file declares the address "archive/none"' in done.err) == (64, True)
    assert "error: no receiver is named" in run("fire").err
    assert (
        "without --file, --tenancy, --target or an address"
        in run("fire", "a/b", "--url", url, *NAMED).err
    )
