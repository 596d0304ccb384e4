"""`hooksync init` writes a first hooks file, and never overwrites a file."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import yaml
from dotenv import dotenv_values

from tests.command_line import hooksync
from tests.conftest import SECRET, Place


def declared_in(text: str) -> dict[str, object]:
    """Return the subscriptions of a hooks file with the tenancy `demo`."""
    return dict(yaml.safe_load(text)["tenancies"]["demo"]["subscriptions"])


def test_the_starter_file_is_valid_and_readable_by_all_users(tmp_path: Path) -> None:
    done = hooksync(["init"], {}, tmp_path)
    assert (done.code, done.out) == (0, "wrote hooks.yaml\n")
    assert stat.S_IMODE((tmp_path / "hooks.yaml").stat().st_mode) == 0o644
    assert hooksync(["validate"], {}, tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hooks.yaml"]


def test_the_password_is_not_sent_to_a_server_that_init_made_up(place: Place) -> None:
    place.environ["PRESERVICA_SERVER"] = place.box.url
    assert place.run("init", "--file", "first.yaml").code == 0
    [tenancy] = yaml.safe_load((place.folder / "first.yaml").read_text())["tenancies"].values()
    assert "server" not in tenancy  # a server of the file would override PRESERVICA_SERVER
    run = place.run("plan", "--file", "first.yaml")
    assert run.out.startswith(f"archive   {place.box.url} / DEMO   ")
    del place.environ["PRESERVICA_SERVER"]
    unset = place.run("plan", "--file", "first.yaml")
    assert (unset.code, "not set: server variable ${PRESERVICA_SERVER}" in unset.err) == (1, True)


def test_an_existing_file_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    done = hooksync(["init", "--file", "mine.yaml"], {}, tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: mine.yaml exists already, and was left as it is\n  fix: ")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_init_does_not_write_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").symlink_to("elsewhere.yaml")
    assert hooksync(["init"], {}, tmp_path).code == 1
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_from_live_prints_or_writes_the_same_draft(place: Place) -> None:
    place.environ["PRESERVICA_SERVER"] = place.box.url
    place.box.seed("DEMO", "https://h.example/x", "MOVED", SECRET)
    shown = place.run("init", "--file", "-", "--from-live")
    run = place.run("init", "--file", "live.yaml", "--from-live")
    assert (run.code, run.out) == (0, "wrote live.yaml\n")
    assert run.err == shown.err
    assert (place.folder / "live.yaml").read_text() == shown.out
    assert (place.folder / "live.yaml").stat().st_mode & 0o777 == 0o600
    plan = place.run("plan", "-f", "live.yaml")
    assert "1 to adopt" in plan.out


def test_each_from_live_adds_prefixes_and_one_without_a_match_is_an_error(place: Place) -> None:
    place.environ["PRESERVICA_SERVER"] = place.box.url
    for name in "abc":
        place.box.seed("DEMO", f"https://{name}.example/x", "MOVED", SECRET)
    flags = [f"--from-live=https://{name}.example" for name in "ab"]
    run = place.run("init", "--file", "-", *flags)
    assert list(declared_in(run.out)) == ["a-example-x", "b-example-x"]
    uncommented = re.sub(r"(?m)(?<=^ {6})# (?!Live)", "", run.out)
    assert list(declared_in(uncommented)) == ["a-example-x", "b-example-x", "c-example-x"]
    nothing = place.run("init", "--file", "x.yaml", "--from-live", "https://d.example")
    assert "error: no live subscription is under https://d.example\n" in nothing.err
    assert (nothing.code, (place.folder / "x.yaml").exists()) == (64, False)


def test_an_env_file_that_git_ignores_gets_the_keys_of_declared_urls(place: Place) -> None:
    place.environ["PRESERVICA_SERVER"] = place.box.url
    key = "k3y%20with'quotes-0123456789"
    place.box.seed("DEMO", f"https://a.example/x?code={key}&v=1", "MOVED", SECRET)
    place.box.seed("DEMO", "https://b.example/x?code=v3ndors-k3y-0123456789", "MOVED", SECRET)
    env = place.write("# mine\nOTHER=1", "keys.env")
    subprocess.run(["git", "init", "--quiet"], cwd=place.folder, check=True)
    command = ("init", "--file", "x.yaml", "--from-live", "https://a.example", "--name", "t-1")
    refused = place.run(*command, "--env-file", "keys.env")
    assert (refused.code, "Git tracks keys.env or would add it" in refused.err) == (1, True)
    assert not (place.folder / "x.yaml").exists()
    place.write("*.env\n", ".gitignore")
    place.environ["HOOKSYNC_ENV_FILE"] = "keys.env"
    assert "_URL_CODE\n" in place.run("init", "--file", "-", *command[3:]).err
    assert env.read_text() == "# mine\nOTHER=1"  # only the flag names the file to change
    run = place.run(*command, "--env-file", "keys.env")
    assert (run.code, "added 2 variables of URLs to keys.env\n" in run.err) == (0, True), run.err
    assert key not in run.text
    assert env.stat().st_mode & 0o777 == 0o600
    variables = dotenv_values(env)
    assert env.read_text().startswith("# mine\nOTHER=1\nexport HOOK_A_EXAMPLE_X_URL_CODE=")
    assert (variables["HOOK_A_EXAMPLE_X_URL_CODE"], len(variables)) == (key, 3)
    assert "tenancies:\n  t-1:\n" in (place.folder / "x.yaml").read_text()


def test_from_live_makes_no_call_if_the_file_exists(place: Place) -> None:
    run = place.run("init", "--from-live")
    assert run.code == 1
    assert not place.box.calls


def test_from_live_writes_nothing_if_the_tenancy_cannot_be_read(place: Place) -> None:
    place.environ |= {"PRESERVICA_SERVER": place.box.url, "PRESERVICA_PASSWORD": "wrong"}
    run = place.run("init", "--file", "live.yaml", "--from-live")
    assert (run.code, run.out) == (1, "")
    assert not (place.folder / "live.yaml").exists()


def test_from_live_adopts_what_shared_defaults_declare_and_repeats_nothing_of_them(
    place: Place,
) -> None:
    shared = """\
version: 1
defaults:
  secret: {env: "${TENANCY}_HOOK_SECRET"}
  subscriptions:
    catalogue: {url: "https://h.example/${tenancy}/x", triggers: [INDEXED, MOVED]}
    alert: {url: "https://h.example/${tenancy}/alert", trigger: INGEST_FAILED}
tenancies: {other: {server: other.example}}
"""
    place.write(shared, "defaults.yaml")
    (place.folder / "hooks").mkdir()
    place.environ["PRESERVICA_SERVER"] = place.box.url
    ids = [
        place.box.seed("DEMO", f"https://h.example/{path}", "MOVED", SECRET)
        for path in ("t-1/x", "own")
    ]
    command = ("init", "--from-live", "-f", "hooks/t-1.yaml", "--defaults", "defaults.yaml")
    run = place.run(*command, "--name", "t-1")
    assert run.code == 0, run.err
    document = yaml.safe_load((place.folder / "hooks/t-1.yaml").read_text())
    tenancy = document["tenancies"]["t-1"]
    assert (document["defaults"], tenancy["subscriptions"].pop("catalogue")) == (
        "../defaults.yaml",
        {"adopt": [ids[0]]},
    )
    assert ({*tenancy}, {*tenancy["subscriptions"]}) == (
        {"server", "tenant", "subscriptions"},
        {"h-example-own"},
    )
    assert "HOOK_H_EXAMPLE_OWN_SECRET" in run.err
    place.environ |= {"T_1_HOOK_SECRET": SECRET, "HOOK_H_EXAMPLE_OWN_SECRET": SECRET}
    assert "2 to subscribe" in place.run("plan", "-f", "hooks/t-1.yaml").out
