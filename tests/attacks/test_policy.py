"""A changed hooks file that nobody has reviewed yet. A run with this file sends nothing to the
attacker, and removes no more than the policy allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.command_line import PASSWORD
from tests.conftest import HOOKS, SECRET, URL_KEY, Place
from tests.lanes import covering, sampled
from tests.wire import Wire, answer, saying

PLAN_KEY = "k3y-that-signs-plans-0123456789"
FIELDS = {"servers": "BOX", "receivers": "RECEIVER"}
COMMANDS = ("plan --probe", "check", "apply --yes", "list")
PROBING = ("plan --probe", "check", "apply --yes")


@pytest.fixture
def attacker() -> Iterator[Wire]:
    """Yield a machine of the attacker; assert at the end that no request arrived there."""
    with Wire(saying(answer(b"{}"))) as wire:
        yield wire
        assert wire.requests == []


def host_of(url: str) -> str:
    return url.split("/")[2]


def run_changed(place: Place, command: str, *change: str, **environ: str) -> tuple[int, str]:
    """Run a command on a changed hooks file; assert that the command makes no call."""
    text = HOOKS
    for old, new in zip(change[::2], change[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    place.write(text)
    place.environ.update(environ)
    run = place.run(*command.split())
    assert place.box.calls == ()
    assert not (place.folder / "new.yaml").exists()
    return run.code, run.err


SYSTEM = "leads to a file of the system itself"
OWN = "is for hooksync itself"
SENT = "contains a secret or a credential"
TAKEN = [  # what a hooks file may never name, with a policy or without one
    ("tenant: DEMO", "credentials: {password: {file: /proc/self/environ}}", SYSTEM),
    ("tenant: DEMO", "credentials: {username: {file: /tmp/../proc/self/environ}}", SYSTEM),
    ("tenant: DEMO", "credentials: {totp: {file: link}}", SYSTEM),
    ("{env: CATALOGUE_SECRET}", "{file: /dev/stdin}", SYSTEM),
    ("tenant: DEMO", "credentials: {password: {env: HOOKSYNC_PLAN_KEY}}", OWN),
    ("{env: CATALOGUE_SECRET}", "{env: HOOKSYNC_PLAN_KEY}", OWN),
    ("${FN_KEY}", "${HOOKSYNC_PLAN_KEY}", OWN),
    ("${FN_KEY}", "${PRESERVICA_PASSWORD}", SENT),
    ("?code=${FN_KEY}", "/${CATALOGUE_SECRET}", SENT),
    ("tenant: DEMO", "tenant: ${HOOKSYNC_PLAN_KEY}", OWN),
]


@pytest.mark.parametrize(("command", "taken"), covering(product(COMMANDS, TAKEN), every=4))
def test_no_hooks_file_can_send_the_environment_or_the_plan_key_to_a_server(
    command: str, taken: tuple[str, str, str], place: Place, attacker: Wire
) -> None:
    (place.folder / "link").symlink_to("/proc/self/environ")
    old, new, said = taken
    code, err = run_changed(
        place, command, "${BOX}", attacker.url, old, new, HOOKSYNC_PLAN_KEY=PLAN_KEY
    )
    assert (code, said in err, PLAN_KEY in err) == (1, True, False)


@pytest.mark.parametrize(
    "path",
    [
        *("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "//dev/stdin", "/dev/null", "/dev/zero"),
        *(
            "d/stdin",
            "link",
            "{climb}/dev/stdin",
            "/proc/self/environ",
            "/sys/kernel/uevent_seqnum",
        ),
    ],
)
def test_no_defaults_are_read_from_a_device_or_an_open_descriptor(path: str, place: Place) -> None:
    (place.folder / "d").symlink_to("/dev")
    (place.folder / "link").symlink_to("/proc/self/environ")
    climb = "/".join([".."] * len(place.folder.parts))
    named = path.format(climb=climb)
    place.write(HOOKS.replace("version: 1\n", f"version: 1\ndefaults: {named}\n"))
    run = place.run("validate")
    assert (run.code, f"`defaults` {SYSTEM}" in run.err) == (1, True), run.err


def test_defaults_that_are_no_hooks_file_are_refused_without_a_quotation(place: Place) -> None:
    place.write("apiVersion: v1\nkind: Secret\ndata: {version: 2, K3Y: [}\n", "other.yaml")
    place.write(HOOKS.replace("version: 1\n", "version: 1\ndefaults: other.yaml\n"))
    run = place.run("validate")
    assert run.err == (
        "hooks.yaml:2:1: `defaults` names no hooks file\n"
        "  fix: name a hooks file that contains `version: 1` and the values of its `defaults`\n"
    )


BREACHES = [  # a change, and the line of the policy that forbids it
    ("${BOX}", "{attacker}", 2),
    ("${BOX}", "${SERVER}", 2),
    ("${BOX}", "{attacker}/", 2),
    ("${RECEIVER}?", "{attacker}/hook?", 3),
    ("${RECEIVER}?", "{attacker}${PATH_OF_IT}?", 3),
    ("${RECEIVER}?", "http://hooks.example.org/?", 3),
    ("{env: CATALOGUE_SECRET}", "{env: PRESERVICA_PASSWORD}", 6),
    ("{env: CATALOGUE_SECRET}", "{env: SERVER}", 6),
    ("{env: CATALOGUE_SECRET}", "{command: [sh, -c, exit]}", 4),
    ("{env: CATALOGUE_SECRET}", "{file: secret-of-another}", 10),
    ("tenant: DEMO", "credentials: {password: {file: ~/.ssh/id_ed25519}}", 10),
]


@pytest.mark.parametrize(("command", "breach"), covering(product(COMMANDS, BREACHES), every=4))
def test_a_setting_that_the_policy_does_not_allow_is_refused_before_any_call(
    command: str, breach: tuple[str, str, int], place: Place, attacker: Wire
) -> None:
    old, new, line = breach
    place.environ.update(
        SERVER=attacker.url,
        PATH_OF_IT="/hook",
        HOOKSYNC_POLICY=place.policy(secret_kinds=["env", "file"], secret_folders=[]),
    )
    place.write(SECRET, "secret-of-another")
    code, err = run_changed(place, command, old, new.replace("{attacker}", attacker.url))
    assert (
        code,
        f"which the policy does not allow ({place.environ['HOOKSYNC_POLICY']}:{line})" in err,
    ) == (3, True)
    assert place.receiver.answers["catalogue", "challenge"] == 0


# changes of a hooks file, by which a secret would be shown or sent to a name server
SHOWN = [
    ("tenant: DEMO", "tenant: ${CATALOGUE_SECRET}"),
    ("tenant: DEMO", "tenant: ${FN_KEY}"),
    ("tenant: DEMO", "tenant: ${PRESERVICA_PASSWORD}"),
    ("server: ${BOX}", "server: ${CATALOGUE_SECRET}.example.org"),
    ("server: ${BOX}", "server: ${FN_KEY}.example.org"),
    ("${RECEIVER}?code=${FN_KEY}", "https://${CATALOGUE_SECRET}.example.org/"),
    ("${RECEIVER}?code=${FN_KEY}", "https://${FN_KEY}.example.org/"),
    ("${RECEIVER}?code=${FN_KEY}", "${NONE:-https:/}/${CATALOGUE_SECRET}.example.org/"),
    ("${RECEIVER}?code=${FN_KEY}", "${SCHEME}:/${SLASHED}.example.org/"),
    ("${RECEIVER}?code=${FN_KEY}", "https://${NONE:-x/}-${FN_KEY}.example.org/"),
    ("${RECEIVER}?code=${FN_KEY}", "https://${NONE:-a?}${FN_KEY}.example.org/"),
    ("tenant: DEMO", "credentials: {username: {env: CATALOGUE_SECRET}}"),
    ("tenant: DEMO", "credentials: {username: {env: FN_KEY}}"),
]
SHOWING = ("plan --out plan.json", "apply --yes --report report.json", "check", "list")


def run_behind_proxy(place: Place, command: str, attacker: Wire) -> tuple[int, str]:
    """Run a command with a proxy of the attacker, which would see all host names.

    Assert that the command makes no call to the sandbox and shows no secret.
    """
    place.environ.update(HTTPS_PROXY=attacker.url, HTTP_PROXY=attacker.url)
    before = {path.name for path in place.folder.iterdir()}
    run = place.run(*command.split(), "-v")
    assert place.box.calls == ()
    written = [path for path in place.folder.iterdir() if path.name not in before]
    assert not [path for path in written if path.name != "report.json"]
    shown = [run.out, run.err, *(path.read_text(encoding="utf-8") for path in written)]
    assert not [hidden for hidden in (SECRET, URL_KEY, PASSWORD) if hidden in "".join(shown)]
    return run.code, run.err


@pytest.mark.parametrize(("command", "change"), covering(product(SHOWING, SHOWN), every=4))
def test_under_a_policy_no_secret_is_accepted_in_a_setting_that_is_shown(
    command: str, change: tuple[str, str], place: Place, attacker: Wire
) -> None:
    hosts = {name: ["*.example.org", host_of(place.environ[url])] for name, url in FIELDS.items()}
    place.environ["HOOKSYNC_POLICY"] = place.policy(
        **hosts,
        secret_variables=["CATALOGUE_SECRET", "FN_KEY", "SLASHED"],
        place_variables=["BOX", "RECEIVER", "NONE", "SCHEME"],
    )
    place.environ.update(SCHEME="https", SLASHED=f"/{URL_KEY}")
    text = HOOKS.replace(*change)
    if "username" in text:  # no other setting may mark CATALOGUE_SECRET as a secret
        text = text.replace("env: CATALOGUE_SECRET}\n", "env: SLASHED}\n")
        text = text.replace("?code=${FN_KEY}", "")
    place.write(text)
    code, err = run_behind_proxy(place, command, attacker)
    assert code in (1, 3)
    # user names are shown, but they have a list of their own (design, section 9)
    if "username" in text:
        assert "login_variables" in err
    else:
        assert SENT in err or "place_variables" in err


NO_POLICY = [change for change in SHOWN if "FN_KEY" not in change[1] and "SLASHED" not in change[1]]


@pytest.mark.parametrize(("command", "change"), covering(product(SHOWING[:2], NO_POLICY), every=4))
def test_without_a_policy_no_secret_of_the_run_is_accepted_in_a_setting_that_is_shown(
    command: str, change: tuple[str, str], place: Place, attacker: Wire
) -> None:
    place.write(HOOKS.replace(*change))
    code, err = run_behind_proxy(place, command, attacker)
    assert (
        code,
        SENT in err,
    ) == (1, True)
    assert place.run("validate").err == err


def test_a_secret_of_one_hooks_file_is_refused_as_a_tenant_in_a_second_file(
    place: Place, attacker: Wire
) -> None:
    other = (
        "version: 1\nx-a: &a ${OTHER}\ntenancies:\n  other: {server: a.example.org, tenant: *a}\n"
    )
    place.write(other, "b.yaml")
    subscription = "{url: https://b.example.org, trigger: MOVED, secret: {env: OTHER}}"
    place.write(f"{HOOKS}  other: {{subscriptions: {{b: {subscription}}}}}\n")
    place.environ["OTHER"] = SECRET
    code, err = run_behind_proxy(place, "plan -f hooks.yaml -f b.yaml --tenancy prod", attacker)
    assert (code, "b.yaml:4:34: the variable OTHER contains a secret or a credential" in err) == (
        1,
        True,
    )


@pytest.mark.parametrize("command", sampled(COMMANDS, 3))
def test_a_policy_lets_no_hooks_file_send_the_password_in_clear(
    command: str, place: Place, attacker: Wire
) -> None:
    place.environ["HOOKSYNC_POLICY"] = place.policy()
    elsewhere = "http://archive.example.org\n    allow_http: true"
    code, err = run_changed(place, command, "${BOX}", elsewhere, "tenant: DEMO", "probe: never")
    assert (code, "says `allow_http: true`, which the policy does not allow" in err) == (3, True)


@pytest.mark.parametrize("changed", sampled(["server", "receiver", "secret"], 3))
def test_a_saved_plan_is_held_to_the_policy_of_the_machine_that_applies_it(
    changed: str, place: Place, attacker: Wire
) -> None:
    assert place.run("plan", "--out", "plan.json", "--no-state").code == 0
    before = place.box.calls
    policy = Path(place.policy())
    text = policy.read_text(encoding="utf-8")
    hosts = {"server": host_of(place.box.url), "receiver": host_of(place.receiver.url("catalogue"))}
    policy.write_text(
        text.replace(hosts.get(changed, "CATALOGUE_SECRET"), "OTHER"), encoding="utf-8"
    )
    run = place.run("apply", "plan.json", "--policy", str(policy))
    assert (run.code, "which the policy does not allow" in run.err) == (3, True)
    assert place.box.calls == before
    assert place.receiver.answers["catalogue", "challenge"] == 0


def test_a_run_within_the_policy_succeeds(place: Place) -> None:
    policy = place.policy()
    for command in ("plan --probe --out plan.json", "apply plan.json", "check", "list"):
        run = place.run(*command.split(), "--policy", policy)
        assert run.code == 0, run.err


@pytest.mark.parametrize("command", sampled(PROBING, 3))
def test_no_private_receiver_is_challenged_if_the_policy_does_not_allow_it(
    command: str, place: Place, attacker: Wire
) -> None:
    # without `require`, the sandbox would challenge the receiver, as Preservica does
    place.write(
        HOOKS.replace("${RECEIVER}", f"{attacker.url}/admin").replace(
            "tenant: DEMO", "probe: require"
        )
    )
    host = host_of(attacker.url)
    policy = place.policy(receivers=[host], allow_private_receivers=False)
    run = place.run(*command.split(), "--policy", policy)
    assert "the address is private: no call is made to it" in run.out + run.err


METADATA = (
    "169.254.169.254",
    "[fe80::1]",
    "[2002:a9fe:a9fe::]",
    "[64:ff9b:1::a9fe:a9fe]",
    "168.63.129.16",
)


@pytest.mark.parametrize(("command", "host"), covering(product(PROBING, METADATA), every=4))
def test_neither_a_challenge_nor_a_log_in_is_sent_to_the_metadata_service_of_a_cloud(
    command: str, host: str, place: Place
) -> None:
    place.write(HOOKS.replace("${RECEIVER}?code=${FN_KEY}", f"http://{host}/latest/meta-data/"))
    run = place.run(*command.split())
    assert "the address is link-local: no call is made to it" in run.out + run.err
    place.write(HOOKS.replace("${BOX}", f"http://{host}\n    allow_http: true"))
    run = place.run("plan")
    assert (run.code, "the address is link-local: no call is made to it" in run.err) == (1, True)


PROTECTED = (
    "https://user:pw@vendor.example/h",
    "https://vendor.example./h",
    "http://vendor.example/h",
    "https://vendor.example/h%2f..%2fx",
)


def test_a_run_removes_no_spelling_of_a_protected_url(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = PLAN_KEY
    for url in PROTECTED:
        place.box.seed("DEMO", url, "MOVED", "vendors-secret-0123456789")
    place.write(HOOKS.replace("    subscriptions:", "    owns: all\n    subscriptions:"))
    policy = place.policy(protect=["https://vendor.example"], max_unsubscribe="100%")
    flags = ("--policy", policy)
    assert place.run("plan", "--out", "plan.json", *flags).code == 0
    assert place.run("apply", "plan.json", *flags).code == 0
    assert {hook.url for hook in place.box.subscriptions("DEMO")} >= {*PROTECTED}


# changes that a run may make

SEARCH = """\
      search:
        url: ${RECEIVER}?for=search&code=${FN_KEY}
        triggers: [INDEXED, MOVED]
        secret: {env: CATALOGUE_SECRET}
"""
FOUR = HOOKS + SEARCH
ALL = "    limits: {unsubscribe: 100%}\n    subscriptions:"
LIMITS = {
    "max_unsubscribe": 1,
    "owns": ["made", "none"],
    "probe": "auto",
    "replacement": ["create-first"],
    "triggers": ["INDEXED", "MOVED"],
}
OWNS_ALL = FOUR.replace("    subscriptions:", "    owns: all\n    subscriptions:")
EMPTY = f"{FOUR.partition('    subscriptions:')[0]}{ALL} {{}}\n"
WAYS = {  # the hooks file, more flags, and the field of the policy that refuses it
    "limits": (HOOKS.replace("    subscriptions:", ALL), "", "max_unsubscribe"),
    "empty subscriptions": (EMPTY, "", "max_unsubscribe"),
    "owns": (OWNS_ALL, "", "owns"),
    "probe": (OWNS_ALL.replace("owns: all", "probe: never"), "", "probe"),
    "replacement": (OWNS_ALL.replace("owns: all", "replacement: remove-first"), "", "replacement"),
    "triggers": (FOUR.replace("MOVED]", "INGEST_FAILED]"), "", "triggers"),
    "defaults": (FOUR.replace("tenancies:", "defaults: {owns: all}\ntenancies:"), "", "owns"),
    "a second file": (FOUR, "-f hooks.yaml -f second.yaml", "owns"),
    "targets": (OWNS_ALL, "--target prod/catalogue/INDEXED", "owns"),
    "the environment": (OWNS_ALL, "--env-file lax.env", "owns"),
    "anchors": (
        OWNS_ALL.replace("tenancies:", "x-a: &a {owns: all}\ntenancies:").replace(
            "owns: all\n    sub", "<<: *a\n    sub"
        ),
        "",
        "owns",
    ),
    "a saved plan": (EMPTY, "plan.json", "max_unsubscribe"),
}


@pytest.mark.parametrize("way", sampled(WAYS, 4))
def test_no_way_around_a_policy_removes_more_than_the_policy_allows(way: str, place: Place) -> None:
    text, flags, field = WAYS[way]
    place.environ["HOOKSYNC_PLAN_KEY"] = PLAN_KEY  # an unsigned state proves no ownership
    place.write(FOUR)
    assert place.run("apply", "--yes").code == 0
    place.box.seed("DEMO", "https://vendor.example.org/", "MOVED", "old-secret-0123456789")
    before = place.box.subscriptions("DEMO")
    place.write(text)
    if way == "a second file":
        settings = "    server: ${BOX}\n    tenant: DEMO\n"
        place.write(text.replace(settings, ""))
        second = f"version: 1\ntenancies:\n  prod:\n{settings}    owns: all\n"
        place.write(second, "second.yaml")
    if way == "a saved plan":
        assert place.run("plan", "--out", "plan.json").code == 0
    place.write("HOOKSYNC_POLICY=lax.yaml\n", "lax.env")
    policy = place.policy(**LIMITS)
    place.environ["HOOKSYNC_POLICY"] = policy
    run = place.run("apply", *flags.split(), *([] if way == "a saved plan" else ["--yes"]))
    assert place.box.subscriptions("DEMO") == before
    if way == "the environment":
        assert "HOOKSYNC_POLICY is for hooksync itself, and not read from a file" in run.err
        return
    assert run.code == 3, run.err
    [line] = [
        number
        for number, each in enumerate(Path(policy).read_text().splitlines(), 1)
        if each.startswith(field)
    ]
    assert f"(policy.yaml:{line})" in run.err.replace(policy, "policy.yaml")
    assert re.search(r"(hooks|second)\.yaml:\d+:\d+: ", run.err)
