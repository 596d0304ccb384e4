"""The pages about pipelines name what the files of the pipelines contain, and show the real output
of hooksync.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import ROOT, hooksync
from tests.project.test_ci_examples import ACTION, JENKINSFILE, KUBERNETES, SINGLE, load
from tests.project.test_gitlab import TEMPLATE
from tests.project.test_readme import SECRET, blocks, run_guide, text_of, without_ids

DOCS = ROOT / "docs"


def test_hooksync_prints_the_drift_that_the_page_on_pipelines_shows(tmp_path: Path) -> None:
    page = text_of(DOCS / "pipelines.md")
    [file] = blocks("yaml", page)
    [drift] = blocks("diff", page)
    # run_guide sets the server and the tenant by variables
    place = "    server: eu.preservica.com\n    tenant: BRAMA\n"
    # without a probe, because the receivers do not exist
    file = file.replace(place, "    probe: never\n")
    (tmp_path / "hooks.yaml").write_text(file)
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        assert run_guide(box, tmp_path, "apply", "--yes").code == 0
        [moved_one] = (each for each in box.subscriptions("DEMO") if each.trigger == "MOVED")
        box.remove("DEMO", moved_one.id)
        box.seed("DEMO", "https://catalogue.example.net/test", "MOVED", SECRET)
        plan = run_guide(box, tmp_path, "plan", "--detailed-exitcode")
        assert (plan.code, without_ids(plan.out)) == (2, without_ids(drift))


def names(page: str) -> set[str]:
    """Return what a page must name: the names in the files of its pipeline."""
    workflow, jenkinsfile = text_of(SINGLE), text_of(JENKINSFILE)
    parameters = jenkinsfile.partition("parameters {")[2].partition("environment {")[0]
    _, jobs = yaml.safe_load_all(TEMPLATE.replace("$[[ inputs.name ]]", "hooksync"))
    found = {
        "github": [
            *load(SINGLE)["jobs"],
            *re.findall(r"secrets\.(\w+)", workflow),
            *re.findall(r"environment: ([\w-]+)", workflow),
        ],
        "gitlab": [name for name in jobs if not name.startswith(".")],
        "jenkins": [
            *re.findall(r"stage\('(\w+)'\)", jenkinsfile),
            *re.findall(r"credentials\('([\w-]+)'\)", jenkinsfile),
            *re.findall(r"name: '(\w+)'", parameters),
        ],
        "kubernetes": re.findall(r"(?m)^(\w+)=", text_of(KUBERNETES / "secrets.env.example")),
    }
    return set(found[page])


@pytest.mark.parametrize("page", ["github", "gitlab", "jenkins", "kubernetes"])
def test_the_page_on_a_pipeline_names_the_jobs_secrets_and_variables_of_its_files(
    page: str,
) -> None:
    text = text_of(DOCS / f"{page}.md")
    needed = names(page)
    assert len(needed) > 3
    assert {name for name in needed if f"`{name}`" not in text} == set()


def test_the_page_on_github_shows_the_defaults_of_the_action() -> None:
    text = text_of(DOCS / "github.md")
    inputs = load(ACTION)["inputs"]
    assert f"({inputs['max-age']['default'].replace('d', ' days')})" in text
    assert f"({inputs['retention-days']['default']} days)" in text


def test_the_hooks_file_of_the_guides_passes_the_policy_that_githubs_guide_copies(
    tmp_path: Path,
) -> None:
    [file] = blocks("yaml", text_of(DOCS / "pipelines.md"))
    (tmp_path / "hooks.yaml").write_text(file)
    policy = tmp_path / ".github" / "hooksync.policy.yaml"
    policy.parent.mkdir()
    policy.write_text(text_of(ROOT / "examples" / "ci" / "github" / "policy.yaml"))
    done = hooksync(["validate", "--policy", str(policy)], {}, tmp_path)
    assert (done.code, done.err.count("error")) == (0, 0), done.err
