"""The commands of the receiver's side, with the one receiver or the secrets that their flags name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.sandbox.receiver import Receiver
from tests.command_line import Run, hooksync
from tests.shipped_receiver import shipped_receiver

SECRET = "s3cret-of-the-catalogue-0123456789"
KEY = "k3y-in-the-url-0123456789"
ENVIRON = {"HOOK_SECRET": SECRET, "FN_KEY": KEY}
NAMED = ("--secret", "env:HOOK_SECRET")


def run(*arguments: str, **more: str) -> Run:
    done = hooksync(arguments, {**ENVIRON, **more}, Path(__file__).parent)  # a folder without a hooks file
    assert not [hidden for hidden in ENVIRON.values() if hidden in done.out + done.err]
    assert "unforeseen" not in done.err
    return done


def test_check_of_one_receiver_needs_neither_a_tenancy_nor_a_hooks_file() -> None:
    with Receiver({"hook": [SECRET]}) as receiver:
        done = run("check", "--url", f"{receiver.url('hook')}?code=${{FN_KEY}}", *NAMED)
        assert receiver.inbox("hook").challenges == 1
    assert (done.code, done.err) == (0, "")
    host = f"127.0.0.1:{receiver.port}"
    assert done.out == f"ok        {host:<20}   receiver ready\n\nCheck: 3 ok, 0 warnings, 0 failed.\n"


def test_check_of_one_receiver_says_what_is_wrong_and_shows_no_key_of_its_url() -> None:
    with shipped_receiver("another-secret-0123456789") as url:
        done = run("check", "--url", f"{url}?code={KEY}", *NAMED, "--format", "json")
    assert done.code == 1
    [found] = done.json["receivers"]
    assert found["url"] == f"{url}?code=***"
    assert found["receiver"]["kind"] == "wrong-secret"
    assert (done.json["tenancies"], found["addresses"]) == ([], [])


def test_check_of_one_receiver_warns_where_it_signs_codes_that_could_forge_an_event() -> None:
    with shipped_receiver(SECRET) as url:
        done = run("check", "--url", url, *NAMED, "--format", "markdown")
    assert done.code == 0
    assert "| event-signing | warning |" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--url", "hook.example.org", *NAMED], "error: --url is neither http nor https"),
        (["--url", "https://hook.example.org/${", *NAMED], "error: --url holds a `${` without its `}`"),
        (["--url", "https://hook.example.org/${KEY}", *NAMED], "${KEY} is not set"),
        (["--url", "https://hook.example.org"], "error: --url needs --secret"),
        (
            ["--url", "https://hook.example.org", "--secret", SECRET],
            "error: --secret is neither env:NAME nor file:PATH",
        ),
        (["--url", "https://hook.example.org", "--secret", "env:HOOKSYNC_PLAN_KEY"], "are never sent anywhere"),
        (["--url", "https://hook.example.org", *NAMED, "-f", "x"], "error: --file cannot be combined with --url"),
        ([*NAMED], "error: --secret needs --url"),
    ],
)
def test_what_does_not_name_one_receiver_is_told(arguments: list[str], told: str) -> None:
    done = run("check", *arguments)
    assert done.code in (1, 64)
    assert told in done.err


def test_a_policy_holds_for_the_receiver_that_the_command_line_names(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nreceivers: ['*.example.org']\n")
    done = run("check", "--url", "https://fn.example.net/hook", *NAMED, "--policy", str(policy))
    assert done.code == 3
    assert "the URL leads to fn.example.net, which the policy does not allow" in done.err
