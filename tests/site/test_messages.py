"""The page on messages explains those that users meet, and hooksync prints each of them."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from unittest import mock

import pytest

from hooksync.core.errors import ExitCode
from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from hooksync.state.contract import Holder
from hooksync.state.local import LocalStore
from tests.boxes import Sandbox
from tests.conftest import HOOKS, NEW_SECRET, SECRET, Place, Run
from tests.documents.test_saved_plan import KEY, alter, save
from tests.site.parts import DOCS
from tests.wire import Wire, answer, cutting, make_certificate, saying

PAGE = (DOCS / "messages.md").read_text(encoding="utf-8")
MESSAGES_PART = PAGE.partition("\n## Command line\n")[2]  # after the exit codes
ENTRIES = dict(
    re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", MESSAGES_PART, re.MULTILINE | re.DOTALL)
)
FEWEST, MOST = 40, 60
SECRET_LINE = "        secret: {env: CATALOGUE_SECRET}\n"
THE_SAME = f"""\
      other:
        url: ${{RECEIVER}}?code=${{FN_KEY}}
        trigger: MOVED
{SECRET_LINE}"""
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOT_A_SEED = "123456"
SOMEWHERE = "https://service.example"  # a call reaches it only through a proxy

Provocation = Callable[[Place], Run]


def typed(command: str) -> Provocation:
    """Return a provocation that runs a command."""
    return lambda place: place.run(*command.split())


def written(before: str, after: str, command: str = "validate") -> Provocation:
    """Return a provocation that edits the hooks file and runs a command."""

    def provoke(place: Place) -> Run:
        assert before in HOOKS
        place.write(HOOKS.replace(before, after))
        return place.run(*command.split())

    return provoke


def exported(name: str, value: str, command: str = "plan") -> Provocation:
    """Return a provocation that sets a variable and runs a command."""

    def provoke(place: Place) -> Run:
        place.environ[name] = value
        return place.run(*command.split())

    return provoke


def unset(name: str) -> Provocation:
    """Return a provocation that plans without a variable."""

    def provoke(place: Place) -> Run:
        del place.environ[name]
        return place.run("plan")

    return provoke


def with_faults(command: str, *faults: str) -> Provocation:
    """Return a provocation that runs a command while the service fails in these ways."""

    def provoke(place: Place) -> Run:
        for fault in faults:
            place.box.faults.add(fault)
        return place.run(*command.split())

    return provoke


def logged_in_as(account: Account, **environ: str) -> Provocation:
    """Return a provocation that checks a service with one account."""

    def provoke(place: Place) -> Run:
        with Sandbox(SandboxOptions(accounts=(account,))) as box:
            place.environ |= {"BOX": box.url, **environ}
            return place.run("check")

    return provoke


def answered(variable: str, reply: bytes, **environ: str) -> Provocation:
    """Return a provocation that checks a server with the same answer to every request."""

    def provoke(place: Place) -> Run:
        with Wire(saying(reply)) as wire:
            place.environ |= {variable: wire.url, **environ}
            return place.run("check")

    return provoke


def nobody_listens(variable: str, command: str) -> Provocation:
    """Return a provocation that runs a command while a variable leads to a closed port."""

    def provoke(place: Place) -> Run:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            place.environ[variable] = f"http://127.0.0.1:{bound.getsockname()[1]}"
            return place.run(*command.split())

    return provoke


def a_certificate_that_nobody_knows(place: Place) -> Run:
    certificate = make_certificate(place.folder, "127.0.0.1")
    with Wire(saying(answer(b"{}")), certificate.server) as wire:
        place.environ["BOX"] = wire.url
        return place.run("check")


def a_receiver_that_cuts_the_connection(place: Place) -> Run:
    with Wire(cutting(b"")) as wire:
        place.environ["RECEIVER"] = wire.url
        return place.run("fire", "prod/catalogue")


def a_receiver_that_is_too_slow(place: Place) -> Run:
    def wait(wire: Wire, *_: object) -> None:
        wire.stopping.wait()

    with Wire(wait) as wire:
        place.environ["RECEIVER"] = wire.url
        return place.run("fire", "prod/catalogue", "--timeout", "1")


def a_receiver_with_an_old_secret(place: Place) -> Run:
    place.receiver.set_secret("catalogue", NEW_SECRET)
    return place.run("apply", "--yes")


def no_extra(place: Place) -> Run:
    with mock.patch.dict(sys.modules, {"obstore": None}):
        return place.run("plan", "--state", "s3://museum/hooks.state.json")


def an_env_file_that_all_can_read(place: Place) -> Run:
    place.write("OTHER=value\n", "secrets.env").chmod(0o644)
    return place.run("plan", "--env-file", "secrets.env")


def a_rotated_value_in_a_file(place: Place) -> Run:
    place.write("CATALOGUE_SECRET=rotated-secret-of-the-catalogue\n", "hooks.env").chmod(0o600)
    return place.run("plan", "--env-file", "hooks.env")


def a_policy_for_elsewhere(place: Place) -> Run:
    place.write("version: 1\nservers: [eu.preservica.com]\n", "policy.yaml")
    return place.run("plan", "--policy", "policy.yaml")


def apply(place: Place) -> None:
    run = place.run("apply", "--yes")
    assert run.code == ExitCode.DONE, run.err


def too_many_removed(place: Place) -> Run:
    apply(place)
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INGEST_FAILED]"))
    return place.run("apply", "--yes")


def made_by_hand(place: Place) -> Run:
    url = f"{place.environ['RECEIVER']}?code={place.environ['FN_KEY']}"
    place.box.seed("DEMO", url, "MOVED", SECRET)
    return place.run("plan")


def replaced_by_hand(place: Place) -> Run:
    apply(place)
    for one in place.box.subscriptions("DEMO"):
        place.box.remove("DEMO", one.id)
    return made_by_hand(place)


def unsettled_twice(place: Place) -> Run:
    for _ in range(2):
        place.box.faults.add("cut@subscribe:*")
        place.run("apply", "--yes")
        place.box.faults.end()
    return place.run("plan")


def a_list_that_lags(place: Place) -> Run:
    with Sandbox(SandboxOptions(list_lag_additions=600)) as box:
        place.environ["BOX"] = box.url
        return place.run("apply", "--yes")


def a_service_that_refuses_duplicates(place: Place) -> Run:
    with Sandbox(SandboxOptions(traits=("refuse-duplicates",))) as box:
        place.environ["BOX"] = box.url
        apply(place)
        place.environ["CATALOGUE_SECRET"] = NEW_SECRET
        place.receiver.set_secret("catalogue", NEW_SECRET, SECRET)
        return place.run("apply", "--yes")


def a_plan_that_another_run_overtook(place: Place) -> Run:
    save(place)
    apply(place)
    return place.run("apply", "--yes", "plan.json")


def an_edited_plan(place: Place) -> Run:
    alter(save(place), lambda plan: plan.update(created_at="2026-01-01T00:00:00Z"), seal=False)
    return place.run("apply", "--yes", "plan.json")


def an_old_plan(place: Place) -> Run:
    alter(save(place), lambda plan: plan.update(created_at="2026-01-01T00:00:00Z"))
    return place.run("apply", "--yes", "plan.json", "--max-age", "1h")


def an_unsigned_plan(place: Place) -> Run:
    save(place)
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    return place.run("apply", "--yes", "plan.json")


def two_runs(place: Place) -> Run:
    other = Holder("archivist", "host-7", None, 1_800_000_000, 4711)
    with LocalStore(str(place.folder / "hooks.state.json")).hold(other):
        return place.run("apply", "--yes")


def a_merged_state(place: Place) -> Run:
    place.write("<<<<<<< HEAD\n", "hooks.state.json")
    return place.run("plan")


MESSAGES: dict[str, Provocation] = {
    # command line
    "unknown flag …": typed("plan --no-such"),
    '--tenancy "…" matches no tenancy': typed("plan --tenancy nobody"),
    "… is neither env:NAME nor file:PATH": typed(
        "fire --url https://fn.example.net/ --secret hunter2"
    ),
    "there is no file …": typed("plan --file none.yaml"),
    "not confirmed: there is no terminal to ask on": typed("apply"),
    # the hooks file
    "not valid YAML": written("tenant: DEMO", "tenant: @DEMO"),
    "the indentation contains a tab": written("    server:", "\tserver:"),
    'duplicate key "…", first at …': written("tenant: DEMO", "tenant: DEMO\n    tenant: DEMO"),
    'unknown key "…"': written("triggers:", "trigers:"),
    'unknown trigger "…"': written("INDEXED", "INDEXD"),
    "a secret is never written into the file": written("{env: CATALOGUE_SECRET}", "hunter2"),
    'tenancy "…" has no subscriptions': written(HOOKS.partition("tenant: DEMO\n")[2], ""),
    "… must be text, but YAML reads this as …": written("tenant: DEMO", "tenant: 0123"),
    '"…" has no secret': written(SECRET_LINE, ""),
    '"…" has the URL and the trigger … of "…" (…)': written(
        SECRET_LINE, f"{SECRET_LINE}{THE_SAME}"
    ),
    "the server is plain http: the password can be read in transit": written(
        "${BOX}", "http://eu.preservica.com"
    ),
    # variables and secrets
    "… variable ${…} is not set": unset("FN_KEY"),
    "… env:… is not set": unset("PRESERVICA_PASSWORD"),
    "… has different values in the environment and in …": a_rotated_value_in_a_file,
    "secret … cannot be read: …": written(
        "{env: CATALOGUE_SECRET}", "{file: none.txt}", "apply --yes"
    ),
    "secret … is shorter than … bytes": exported("CATALOGUE_SECRET", "hun-ter-2"),
    "secret … contains characters outside printable ASCII": exported(
        "CATALOGUE_SECRET", "sécret-of-the-catalogue", "apply --yes"
    ),
    "secret … runs a program, which is not allowed": written(
        "{env: CATALOGUE_SECRET}", "{command: [op, read]}", "plan"
    ),
    "… is not installed": no_extra,
    "… may be read by every user of this machine": an_env_file_that_all_can_read,
    # policy
    "…, which the policy does not allow (…)": a_policy_for_elsewhere,
    # reaching Preservica
    "… -> 401: …": exported("PRESERVICA_PASSWORD", "not-the-password"),
    "… -> 403: …": logged_in_as(Account(roles=("ROLE_SDB_READER_USER",))),
    "… -> 404: …": answered("BOX", answer(b"", "404 Not Found")),
    "… -> 503: …": with_faults("plan", "status-503@list:*"),
    "POST /api/webhook/subscriptions -> 400: …": with_faults(
        "apply --yes", "status-400@subscribe:*"
    ),
    "the answer is not JSON": answered("BOX", answer(b"<html>")),
    "the server's name does not resolve": exported("BOX", "https://nowhere.invalid", "check"),
    "… refuses connections": nobody_listens("BOX", "check"),
    "no complete answer within … s": a_receiver_that_is_too_slow,
    "the connection was cut before the answer was complete": a_receiver_that_cuts_the_connection,
    "the certificate of … is not trusted: …": a_certificate_that_nobody_knows,
    "the proxy answers …": answered(
        "HTTPS_PROXY", answer(b"", "407 Proxy Authentication Required"), BOX=SOMEWHERE
    ),
    "the account requires a second factor, and … is not set": logged_in_as(Account(totp_seed=SEED)),
    "the account needs a second factor, and none is set up": with_faults(
        "check", "needs-2fa-setup@login:*"
    ),
    "… is not a base32 seed": logged_in_as(
        Account(totp_seed=SEED), PRESERVICA_2FA_TOKEN=NOT_A_SEED
    ),
    # asking the receivers
    "the receiver at … is not ready: …": nobody_listens("RECEIVER", "apply --yes"),
    "it signs challenges with a different secret": a_receiver_with_an_old_secret,
    "it answers …, not 200": answered("RECEIVER", answer(b"", "500 Internal Server Error")),
    "it answers …, a redirect": answered(
        "RECEIVER", answer(b"", "302 Found", "Location: /elsewhere")
    ),
    # plans and applies
    "would unsubscribe … of the … it owns: limits.unsubscribe is …": too_many_removed,
    "secret unknown: …": made_by_hand,
    "…: replaced outside this state, secret unknown": replaced_by_hand,
    "no list has shown it yet": a_list_that_lags,
    "the service refuses a second subscription for this URL and trigger": (
        a_service_that_refuses_duplicates
    ),
    "two applies left it unsettled, so it is not created again": unsettled_twice,
    # saved plans
    "the plan does not show what would be done now: …": a_plan_that_another_run_overtook,
    "… was altered since it was saved": an_edited_plan,
    "… is not signed, and HOOKSYNC_PLAN_KEY is set": an_unsigned_plan,
    "… is older than --max-age allows (…)": an_old_plan,
    # the state and its lock
    "another run of hooksync works with …": two_runs,
    "there is no state at …": typed("state show"),
    "the state contains a merge conflict of Git": a_merged_state,
    "the state … cannot be used: …": typed("plan --state git:hooksync-state"),
    "… cannot be written: …": typed("plan --out no/such/folder/plan.json"),
}
SLOW = {"… -> 503: …": [pytest.mark.slow]}  # hooksync repeats this call before it reports the error
CASES = [
    pytest.param(message, id=message.replace("…", "..."), marks=SLOW.get(message, []))
    for message in MESSAGES
]


@pytest.mark.slow
@pytest.mark.parametrize("message", CASES)
def test_hooksync_prints_each_message_that_the_page_explains(message: str, place: Place) -> None:
    run = MESSAGES[message](place)
    words = ".+".join(re.escape(part) for part in message.split("…"))
    assert re.search(words, run.out + run.err), run.out + run.err
    assert ENTRIES[message].rstrip().endswith(f"\n**Exit code:** {int(run.code)}")


def test_the_page_has_an_entry_for_each_tested_message_and_no_other() -> None:
    assert list(ENTRIES) == list(MESSAGES)
    assert FEWEST <= len(ENTRIES) <= MOST


def test_each_entry_explains_the_message_and_what_to_do() -> None:
    for message, entry in ENTRIES.items():
        meaning, _, remedy = entry.partition("\n**What to do:** ")
        assert meaning.strip(), message
        assert remedy.strip(), message


def test_hooksync_prints_the_example_at_the_top_of_the_page(place: Place) -> None:
    run = MESSAGES['unknown trigger "…"'](place)
    assert f"```output\n{run.err}```\n" in PAGE
