"""Secrets from programs and files of variables, and the permissions that they need."""

from __future__ import annotations

import json

import pytest

from tests.conftest import HOOKS, SECRET, Place, Run
from tests.documents.test_saved_plan import save
from tests.wire import Wire, answer, saying

NAMED = "{command: [sh, -c, 'echo x >> runs; echo $CATALOGUE']}"
SHOWN = "command:sh (2 arguments)"
EVERY = (
    *("validate", "plan", "plan --probe", "apply --yes", "check", "fire prod/catalogue"),
    *("verify event.json --signature 00", "listen"),
)


@pytest.fixture
def commanded(place: Place) -> Place:
    """A place whose secret a program prints."""
    place.write(HOOKS.replace("{env: CATALOGUE_SECRET}", NAMED))
    place.environ["CATALOGUE"] = place.environ.pop("CATALOGUE_SECRET")
    place.write("{}", "event.json")
    return place


def runs(place: Place) -> int:
    path = place.folder / "runs"
    return path.read_text().count("x") if path.exists() else 0


def refused(place: Place, run: Run, said: str) -> None:
    """Assert that the run failed with a fix, started no program and made no call."""
    assert run.code in (1, 3)
    assert said in run.err
    assert "  fix: " in run.err
    assert runs(place) == 0
    assert place.box.calls == ()


@pytest.mark.parametrize("command", EVERY)
def test_no_program_runs_for_a_secret_without_permission_or_against_a_policy(
    commanded: Place, command: str
) -> None:
    said = f"hooks.yaml:10:9: secret {SHOWN} runs a program, which is not allowed"
    refused(commanded, commanded.run(*command.split()), said)
    commanded.policy(secret_kinds=["env", "file"])
    said = (
        f"hooks.yaml:10:9: {SHOWN} is a secret of the kind `command`, which the policy does not"
        " allow (policy.yaml:4)"
    )
    refused(
        commanded,
        commanded.run(*command.split(), "--allow-commands", "--policy", "policy.yaml"),
        said,
    )


def test_a_program_for_a_credential_needs_permission_too(place: Place) -> None:
    place.write(
        HOOKS.replace(
            "tenant: DEMO", "tenant: DEMO\n    credentials: {password: {command: [sh, login]}}"
        )
    )
    place.write(f"echo x >> runs; echo '{place.environ.pop('PRESERVICA_PASSWORD')}'", "login")
    refused(
        place,
        place.run("list"),
        "password command:sh (1 argument) runs a program, which is not allowed",
    )
    assert place.run("check", "--allow-commands").code == 0


def test_applying_a_saved_plan_runs_no_program_without_allow_commands(commanded: Place) -> None:
    path = save(commanded, "--allow-commands")
    document = json.loads(path.read_text())
    refs = [step["declared"]["secret"] for step in document["tenancies"][0]["steps"]]
    assert refs == [{"command": "sh (2 arguments)"}] * 2
    ran, called = runs(commanded), commanded.box.calls
    done = commanded.run("apply", str(path))
    assert (done.code, runs(commanded), commanded.box.calls) == (3, ran, called)
    assert f"secret {SHOWN} runs a program, which is not allowed" in done.err
    assert commanded.run("apply", str(path), "--allow-commands").code == 0
    assert {each.secret for each in commanded.box.subscriptions("DEMO")} == {SECRET}


def test_no_output_contains_an_argument_of_a_program_and_a_plan_depends_on_each(
    commanded: Place,
) -> None:
    token = "TOKEN-of-the-vault"
    text = HOOKS.replace("{env: CATALOGUE_SECRET}", NAMED.replace("echo x", f"echo {token}"))
    commanded.write(text)
    shown = []
    for form in ("text", "json", "markdown", "html"):
        shown.append(commanded.run("plan", "--allow-commands", "--format", form).out)
    path = save(commanded, "--allow-commands")
    shown.append(path.read_text())
    commanded.write(text.replace(token, "a-different-token"))
    stale = commanded.run("apply", str(path), "--allow-commands")
    assert (stale.code, "a value that plans do not show is different" in stale.err) == (3, True)
    done = commanded.run("apply", "--yes", "--allow-commands", "--report", "report.json", "-v")
    assert done.code == 0
    shown += [stale.err, done.out, done.err]
    for name in ("report.json", "hooks.state.json"):
        shown.append((commanded.folder / name).read_text())
    assert "command:sh (2 arguments)" in shown[0]
    assert token not in "".join(shown)
    assert "a-different-token" not in "".join(shown)


# files that set variables


def test_all_missing_variables_are_reported_at_once_with_their_kind(place: Place) -> None:
    place.write(
        HOOKS.replace(
            "    tenant: DEMO\n", "    tenant: ${TENANT}\n    credentials: {totp: {env: SEED}}\n"
        )
    )
    for name in [name for name in place.environ if name not in ("PATH", "RECEIVER")]:
        del place.environ[name]
    for command in ("plan", "apply --yes", "check", "list"):
        run = place.run(*command.split())
        assert (run.code, run.out) == (1, "")
        lines = run.err.splitlines()
        assert [line for line in lines if not line.startswith("  fix: ")] == [
            "hooks.yaml:3:3: not set: server variable ${BOX}, tenant variable ${TENANT},"
            " URL variable ${FN_KEY}, username env:PRESERVICA_USERNAME, password"
            " env:PRESERVICA_PASSWORD, TOTP seed env:SEED, secret env:CATALOGUE_SECRET",
        ]
        assert all("--env-file" in line for line in lines if line.startswith("  fix: "))


def test_an_env_file_provides_variables_that_the_environment_lacks(place: Place) -> None:
    names = ("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "CATALOGUE_SECRET", "FN_KEY", "BOX")
    text = "".join(f"{name}={place.environ.pop(name)}\n" for name in names)
    place.write(text, ".env").chmod(0o600)
    for command in ("plan", "apply --yes", "check", "list", "fire prod/catalogue"):
        run = place.run(*command.split(), "--env-file", ".env")
        assert run.code == 0, run.err
        assert "warning" not in run.err
    assert place.run("verify", "--env-file", "none", "--signature", "00", "-").code == 1


def test_a_policy_applies_if_variables_name_the_server(place: Place) -> None:
    command = "init --file live.yaml --from-live"
    user, password, server = (
        place.environ.pop(name) for name in ("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "BOX")
    )
    (place.folder / "hooks.yaml").unlink()
    login = f"[credentials]\nusername={user}\npassword={password}\nserver={server}\n"
    place.write(login, "credentials.properties")
    place.policy(servers=["other.example"], secret_kinds=["file"], secret_folders=["elsewhere"])
    run = place.run(*command.split(), "--policy", "policy.yaml")
    assert (run.code, place.box.calls) == (3, ())
    assert "which the policy does not allow (policy.yaml:2)" in run.err
    assert (
        "file:credentials.properties leads to a folder, which the policy does not allow"
        " (policy.yaml:10)" in run.err
    )


def test_pypreservica_credentials_in_the_folder_are_used_within_the_policy(place: Place) -> None:
    user, password = (place.environ.pop(f"PRESERVICA_{name}") for name in ("USERNAME", "PASSWORD"))
    server = place.environ["BOX"].removeprefix("http://")
    place.write(
        HOOKS.replace("    server: ${BOX}\n    tenant: DEMO\n", "").replace(
            "  prod:", "  prod:\n    allow_http: true"
        )
    )
    login = f"[credentials]\nusername={user}\npassword={password}\ntenant=DEMO\nserver=http://{server}\n"
    place.write(login, "credentials.properties")
    run = place.run("check")
    assert run.code == 0
    assert "   0 live, " in run.out
    assert "credentials.properties sets PRESERVICA_" in run.err
    assert place.run("apply", "--yes").code == 0
    places = ["RECEIVER", "PRESERVICA_SERVER", "PRESERVICA_TENANT"]
    allowed = {"allow_http": True, "secret_kinds": ["env", "file"], "place_variables": places}
    place.policy(**allowed, secret_folders=["elsewhere"])
    run = place.run("plan", "--policy", "policy.yaml")
    assert run.code == 3
    assert (
        "file:credentials.properties leads to a folder, which the policy does not allow"
        " (policy.yaml:11)" in run.err
    )
    assert (
        place.run("plan", "--policy", "policy.yaml", "--credentials", "credentials.properties").code
        == 0
    )
    place.policy(**allowed, secret_folders=["."])
    assert place.run("plan", "--policy", "policy.yaml").code == 0
    place.policy(**allowed, servers=["other.example"])
    leads = "the server leads to a host, which the policy"
    assert leads in place.run("plan", "--policy", "policy.yaml").err
    place.write("password\n", "credentials.properties")
    run = place.run("plan")
    assert (run.code, "credentials.properties:1:1: pyPreservica cannot read this" in run.err) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("source", "is_shown"), [("{env: SOMEBODY}", True), ("{file: somebody}", False)]
)
def test_a_username_from_a_variable_is_shown_and_one_from_a_file_is_masked(
    place: Place, source: str, is_shown: bool
) -> None:
    place.environ["SOMEBODY"] = "somebody@example.org"
    place.write("somebody@example.org\n", "somebody")
    place.write(HOOKS.replace("tenant: DEMO", f"credentials: {{username: {source}}}"))
    with Wire(
        saying(answer(b'{"message": "there is no somebody@example.org"}', "401 No"))
    ) as service:
        place.environ["BOX"] = service.url
        run = place.run("plan")
    assert (run.code, "there is no " in run.err) == (1, True)
    assert ("somebody@example.org" in run.out + run.err) == is_shown
