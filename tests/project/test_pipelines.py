"""The pages about pipelines match the files of the pipelines, and show the real output of hooksync."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import ROOT
from tests.project.test_ci_examples import (
    ACTION,
    JENKINSFILE,
    KUBERNETES,
    ONES,
    PAGES,
    WORKFLOWS,
    gitlab,
    gitlab_children,
    load,
    pod_of,
)
from tests.project.test_readme import SECRET, blocks, run_guide, text_of, without_ids

ALL, GITHUB, GITLAB, JENKINS, KUBERNETES_PAGE = (text_of(page) for page in PAGES)


def test_hooksync_prints_the_plans_that_the_page_on_plans_shows(tmp_path: Path) -> None:
    [file] = blocks("yaml", ALL)
    first, drift, moved = blocks("diff", ALL)
    # run_guide sets the server and the tenant by variables
    file = file.replace("    server: eu.preservica.com\n    tenant: BRAMA\n", "")
    (tmp_path / "hooks.yaml").write_text(file)
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        assert without_ids(run_guide(box, tmp_path, "plan").out) == without_ids(first)
        # without a probe, because the receivers do not exist
        assert run_guide(box, tmp_path, "apply", "--yes", "--no-probe").code == 0
        (tmp_path / "hooks.yaml").write_text(file.replace("/preservica", "/new"))
        steps = without_ids(run_guide(box, tmp_path, "plan").out)
        (tmp_path / "hooks.yaml").write_text(file)
        [moved_one] = (one for one in box.subscriptions("DEMO") if one.trigger == "MOVED")
        box.remove("DEMO", moved_one.id)
        box.seed("DEMO", "https://catalogue.example.net/test", "MOVED", SECRET)
        plan = run_guide(box, tmp_path, "plan", "--detailed-exitcode")
        assert (plan.code, without_ids(plan.out)) == (2, without_ids(drift))
    assert without_ids(moved) in steps
    assert without_ids(moved).replace("INDEXED", "MOVED  ") in steps


def test_the_page_on_github_names_all_jobs_secrets_environments_and_defaults() -> None:
    assert set(re.findall(r"`(hooksync\.yml)`", GITHUB)) == {path.name for path in WORKFLOWS}
    jobs = {name for path in ONES for name in load(path)["jobs"]}
    assert {*re.findall(r"^\| `(\w+)` \| ", GITHUB, re.MULTILINE)} >= jobs
    workflows = [load(path) for path in ONES]
    held = set(re.findall(r"secrets\.(\w+)", "".join(text_of(path) for path in ONES)))
    environments = {
        job["environment"]
        for each in workflows
        for job in each["jobs"].values()
        if "environment" in job
    }
    assert not [name for name in held | environments if f"`{name}`" not in GITHUB]
    assert not [name for name in held if f"`{name}`" not in ALL]
    assert f"({load(ACTION)['inputs']['max-age']['default'].replace('d', ' days')})" in GITHUB
    assert f"({load(ACTION)['inputs']['retention-days']['default']} days)" in GITHUB


@pytest.mark.parametrize("title", ["No reviewed plan", "No policy", "GitHub refused"])
def test_the_page_on_github_quotes_errors_of_the_action(title: str) -> None:
    scripts = [
        path.read_text("utf-8")
        for path in (ROOT / "examples" / "ci" / "github").iterdir()
        if path.is_file()
    ]
    assert f"`{title}`" in GITHUB
    assert any(f"::error title={title}::" in script for script in scripts)


def test_the_page_on_gitlab_names_exactly_the_jobs_of_the_pipelines() -> None:
    jobs = {f"hooksync:{name}" for name in re.findall(r"`hooksync:([a-z-]+)`", GITLAB)}
    assert jobs == {*gitlab(), *gitlab_children()}


def test_the_page_on_jenkins_names_all_stages_credentials_and_parameters() -> None:
    text = text_of(JENKINSFILE)
    assert not [
        name for name in re.findall(r"stage\('(\w+)'\)", text) if f"`{name}`" not in JENKINS
    ]
    credentials = re.findall(r"credentials\('([\w-]+)'\)", text)
    rows = re.findall(r"^ +\| (`.*?`) \|", JENKINS, re.MULTILINE)
    assert {f"`{name}`" for name in credentials} == set(rows)
    parameters = text.partition("parameters {")[2].partition("environment {")[0]
    assert not [
        name for name in re.findall(r"name: '(\w+)'", parameters) if f"| `{name}` |" not in JENKINS
    ]
    assert "label 'hooksync'" in text


def test_the_page_on_kubernetes_names_all_files_all_variables_and_the_user() -> None:
    linked = set(re.findall(r"examples/kubernetes/([\w.-]+)\)", KUBERNETES_PAGE))
    kept = {path.name for path in KUBERNETES.iterdir() if path.suffix in (".yml", ".yaml")}
    assert linked == kept
    variables = re.findall(r"^(\w+)=", text_of(KUBERNETES / "secrets.env.example"), re.MULTILINE)
    assert not [name for name in variables if f"`{name}`" not in KUBERNETES_PAGE]
    user = pod_of("cronjob.yml")["securityContext"]["runAsUser"]
    assert f"user {user}," in KUBERNETES_PAGE
