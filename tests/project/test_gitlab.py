"""The pipelines for GitLab run unchanged: gitlab-ci-local reads their files in a repository that
the tests serve.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.command_line import PASSWORD, ROOT
from tests.conftest import HIDDEN, Place
from tests.git_servers import Remote, missing_program, served
from tests.gitlab_ci import Project
from tests.wire import Wire

pytestmark = pytest.mark.timeout(400)  # a pipeline starts many processes

GITLAB = ROOT / "examples" / "ci" / "gitlab"
EXAMPLE = ROOT / "examples" / "staging-and-production"
TEMPLATE = (GITLAB / "hooksync.yml").read_text(encoding="utf-8")
PROGRAMS = {
    "hooksync": f'exec "{sys.executable}" -m hooksync "$@"',
    # gitlab-ci-local copies artifacts by rsync. It also copies all files into containers by rsync,
    # but these tests have no containers.
    "rsync": (
        """\
for each; do case $each in --files-from=*) list=${each#*=} ;; esac; done
[ -z "$list" ] || tar -cf - -T "$list" | tar -xf - -C "$each"
"""
    ),
}


@pytest.fixture
def project(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return an empty project. Its variables have scopes, and lead to the sandbox."""
    if lack := missing_program():
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("runner")
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    held = {
        name: place.environ[name]
        for name in ("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "CATALOGUE_SECRET")
    }
    environ = {name: value for name, value in place.environ.items() if name not in held}
    environ |= {"PATH": f"{folder}:{environ['PATH']}", "PYTHONPATH": str(ROOT)}
    variables = {name: {"planning*": value, "production": value} for name, value in held.items()}
    project = Project(Remote(tmp_path_factory.mktemp("remote")), environ, variables, hidden=HIDDEN)
    with served(project.remote):
        # only the token of the job opens the repository
        (Path(project.remote.environ["HOME"]) / ".gitconfig").unlink()
        yield project


def set_up(project: Project, place: Place) -> None:
    """Commit the example of one environment."""
    pipeline = (GITLAB / ".gitlab-ci.yml").read_text(encoding="utf-8")
    project.commit(
        {
            ".gitlab-ci.yml": pipeline,
            "hooksync.yml": TEMPLATE,
            "hooksync.policy.yaml": place.policy_text(),
        }
    )


def live(place: Place, tenant: str = "DEMO") -> list[str]:
    return sorted(each.trigger for each in place.box.subscriptions(tenant))


def meddle(place: Place, tenant: str = "DEMO") -> None:
    """Remove one subscription of the tenancy without hooksync."""
    place.box.remove(tenant, place.box.subscriptions(tenant)[0].id)


@pytest.mark.slow
def test_a_change_of_the_hooks_file_the_policy_or_the_pipeline_starts_a_plan(
    project: Project, place: Place
) -> None:
    set_up(project, place)
    review, merged = ["hooksync:preview", "hooksync:validate"], ["hooksync:offer", "hooksync:plan"]
    project.commit({"README.md": "Nothing of hooksync's.\n"}, "other")
    assert project.pipeline("merge_request_event", "other", starts=False).listed() == []
    project.merge("other")
    assert project.pipeline("push", starts=False).listed() == []
    assert project.pipeline("web", starts=False).listed() == ["hooksync:adopt", *merged]
    assert project.pipeline("schedule", starts=False).listed() == ["hooksync:drift"]
    for name in ("hooks.yaml", "hooksync.policy.yaml", ".gitlab-ci.yml"):
        text = project.remote.git("show", f"main:{name}")
        project.commit({name: f"{text}\n# changed\n"}, f"change-{name}")
        asked = project.pipeline("merge_request_event", f"change-{name}", starts=False)
        assert asked.listed() == review, name
    asked.settings["CI_MERGE_REQUEST_SOURCE_PROJECT_ID"] = "of-a-fork"
    assert asked.listed() == ["hooksync:validate"]
    assert project.pipeline("push", "change-hooks.yaml", starts=False).listed() == []
    project.merge("change-hooks.yaml")
    assert project.pipeline("push", starts=False).listed() == merged


# --- the example of two environments

USERS = {"staging": "ARCHIVE_TEST", "production": "ARCHIVE"}  # the tenant of each user
SECRETS = {user: f"the-secret-of-{user}-0123456789" for user in USERS}
ACCOUNTS = tuple(
    Account(f"{user}@example.org", PASSWORD, (tenant,)) for user, tenant in USERS.items()
)


def example(place: Place) -> dict[str, str]:
    """Return the files of the example, with the sandbox and the receiver in place of placeholders."""
    hooks = ("staging/hooks.yaml", "production/hooks.yaml")
    policies = ("policies/staging.yaml", "policies/production.yaml")
    names = (".gitlab-ci.yml", *hooks, *policies)
    server, receiver = (url.split("/")[2] for url in (place.box.url, place.receiver.url("")))
    files = {}
    for name in names:
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        text = re.sub(
            r"https://(\w+)\.example\.net/hooks/",
            lambda found: place.receiver.url(f"{found[1]}-"),
            text,
        )
        text = re.sub(r"https://\w+\.example\.net/", place.receiver.url(""), text)
        text = re.sub(r"\w+\.example\.net/hooks/", f"{receiver}/", text)
        text = re.sub(
            r"server: (?:preview|eu)\.preservica\.com", f'server: "{place.box.url}"', text
        )
        text = re.sub(r"(?:preview|eu)\.preservica\.com", f'"{server}"', text)
        files[name] = text
    for name in policies:
        files[name] += "allow_private_receivers: true\n"
    return files


def with_example(project: Project, place: Place) -> dict[str, str]:
    """Commit the example without its hooks files, and set the variables of each environment. Return
    the hooks files.
    """
    files = example(place)
    project.commit({name: text for name, text in files.items() if not name.endswith("hooks.yaml")})
    for each in ("staging-catalogue", "staging-alert", "archive-catalogue", "archive-alert"):
        place.receiver.set_secret(
            each, SECRETS["staging" if each.startswith("staging") else "production"]
        )
    values = {
        user: {"PRESERVICA_USERNAME": f"{user}@example.org", "PRESERVICA_PASSWORD": PASSWORD,
               "HOOK_SECRET": SECRETS[user]}
        for user in USERS
    }  # fmt: skip
    names = values["staging"]
    project.variables = {
        name: {scope: values[user][name] for user in USERS for scope in (user, f"planning/{user}")}
        for name in names
    }
    include, *_ = yaml.safe_load(files[".gitlab-ci.yml"])["include"]
    project.includes = {f"{include['project']}/{include['ref']}/{include['file']}": TEMPLATE}
    return {name: text for name, text in files.items() if name.endswith("hooks.yaml")}


@pytest.mark.parametrize("options", [SandboxOptions(accounts=ACCOUNTS)], indirect=True)
@pytest.mark.slow
def test_a_change_is_applied_to_staging_and_after_approval_to_production(
    project: Project, place: Place, watcher: Wire
) -> None:
    hooks = with_example(project, place)
    project.variables = {**project.variables, "NOTIFY_URL": {"*": watcher.url}}
    project.commit(hooks, "change")
    review = project.pipeline("merge_request_event", "change")
    asked = {f"{user}:{job}" for user in USERS for job in ("validate", "preview")}
    assert review.jobs == dict.fromkeys(asked, "PASS"), review.output
    assert "3 to subscribe" in review.artifact("production-plan.txt")
    assert [live(place, tenant) for tenant in USERS.values()] == [[], []]

    project.merge("change")
    merged = project.pipeline("push")
    assert merged.jobs == {
        "staging:plan": "PASS",
        "staging:offer": "PASS",
        "staging:apply": "PASS",
        "production:plan": "PASS",
        "production:offer": "PASS",
    }, merged.output
    assert [len(live(place, tenant)) for tenant in USERS.values()] == [3, 0]
    assert merged.start("production:apply") == {"production:apply": "PASS"}, merged.output
    assert "Verified: live matches declared." in merged.log("production:apply")
    assert [len(live(place, tenant)) for tenant in USERS.values()] == [3, 3]
    assert {f"hooksync-state-{user}" for user in USERS} <= set(
        project.remote.git("branch", "--format=%(refname:short)").split()
    )

    again = project.pipeline("web")
    nobody_is_asked = {f"{user}:no-changes" for user in USERS}
    assert set(again.children()) == nobody_is_asked, again.output
    assert {job for job, result in again.jobs.items() if result == "PASS"} >= nobody_is_asked

    moved = hooks["production/hooks.yaml"].replace("/archive-alert", "/archive-catalogue?of=alerts")
    project.commit({"production/hooks.yaml": moved}, "move")
    project.merge("move")
    merged = project.pipeline("push")
    # there is no plan for staging, because none of its files has changed
    assert merged.jobs == dict.fromkeys(("production:plan", "production:offer"), "PASS")
    assert "url changed" in merged.log("production:plan")
    meddle(place, "ARCHIVE")
    before = live(place, "ARCHIVE")
    assert merged.start("production:apply") == {"production:apply": "FAIL"}, merged.output
    assert "the plan does not show what would be done now" in merged.log("production:apply")
    assert live(place, "ARCHIVE") == before
    assert project.pipeline("schedule").jobs == {
        "staging:drift": "PASS",
        "production:drift": "FAIL",
    }
    told = [
        body["text"].partition("\n")[0].partition(" (")[0].removeprefix("hooksync ")
        for body in watcher.documents
    ]
    assert told == ["apply: applied", "apply: applied", "apply: refused", "plan: drift"]
