"""Tests of the supply chain: dependencies, the scripts under .ci, and the permissions of workflows.

The tests do not repeat the checks of .ci/lint: zizmor finds actions that are not pinned, tokens
that a checkout leaves, events that give strangers a token, and expressions within scripts. Others
are .ci/lowest (the lowest versions), .ci/audit (known weaknesses) and .ci/reproducible.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

import hooksync
from tests.command_line import ROOT
from tests.project.test_architecture import foreign_imports, modules

CI = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
WORKFLOWS += sorted((ROOT / "examples").glob("**/workflows/*.y*ml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.suffix == "")
# workflow, job and what the job may write
MAY_WRITE = {
    tuple(line.split())
    for line in """\
hooksync.yml plan pull-requests
hooksync.yml apply contents
hooksync.yml drift issues
staging-and-production/hooksync.yml staging contents
staging-and-production/hooksync.yml staging issues
staging-and-production/hooksync.yml staging pull-requests
staging-and-production/hooksync.yml production contents
staging-and-production/hooksync.yml production issues
staging-and-production/hooksync.yml production pull-requests
staging-and-production/environment.yml plan pull-requests
staging-and-production/environment.yml apply contents
staging-and-production/environment.yml drift issues
lock.yml propose contents
lock.yml propose pull-requests
release.yml attest attestations
release.yml attest id-token
release.yml publish id-token
release.yml release contents
release.yml image packages
release.yml image attestations
release.yml image id-token
""".splitlines()
}


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def jobs_of(path: Path) -> dict[str, dict[str, Any]]:
    return load(path)["jobs"]


def writes_of(permissions: dict[str, str]) -> set[str]:
    """Return the scopes that may be written."""
    return {scope for scope, access in permissions.items() if access not in ("read", "none")}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# --- workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_may_at_most_read_the_code_and_a_job_may_write_only_what_the_table_lists(
    path: Path,
) -> None:
    assert load(path)["permissions"] in ({}, {"contents": "read"})
    title = (
        path.name if path.parts[-4] != "staging-and-production" else f"{path.parts[-4]}/{path.name}"
    )
    written = {
        (title, job, scope)
        for job, each in jobs_of(path).items()
        for scope in writes_of(each.get("permissions", {}))
    }
    assert written == {key for key in MAY_WRITE if key[0] == title}


def test_no_job_that_applies_is_cancelled_by_a_newer_run() -> None:
    for path in WORKFLOWS:
        for job in jobs_of(path).values():
            assert not job.get("concurrency", {}).get("cancel-in-progress")


def test_the_ci_of_this_repository_uses_no_secrets_and_no_permissions_of_jobs() -> None:
    assert "secrets." not in CI.read_text(encoding="utf-8")
    assert not [job for job in jobs_of(CI).values() if "permissions" in job]


def test_a_job_that_may_write_runs_no_code_of_others_apart_from_the_tools_to_publish() -> None:
    for workflow, name, _ in MAY_WRITE:
        if workflow in ("lock.yml", "release.yml"):
            job = jobs_of(CI.parent / workflow)[name]
            run = "\n".join(step.get("run", "") for step in job["steps"])
            assert job["needs"]
            if name == "publish":
                assert ".ci/requirements-tools.txt" in run
            else:
                assert not re.search(r"pip|(?<!/)\.ci/\w+ ", run)


# --- the scripts


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_of_ci_stops_at_the_first_failure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert "\n. .ci/common.sh\n" in text
    assert os.access(path, os.X_OK)


def test_a_release_whose_tag_is_not_its_version_is_refused_before_anything_is_built(
    tmp_path: Path,
) -> None:
    done = run_ci("release", str(tmp_path), "v99.0.0")
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert done.stderr.startswith("error: the tag is v99.0.0, and the version of hooksync ")


def test_the_citation_has_the_version_of_the_package_and_the_date_of_the_changelog() -> None:
    cited = yaml.safe_load(text_of("CITATION.cff"))
    releases = dict(re.findall(r"(?m)^## \[(\d.*)\] - (.*)$", text_of("CHANGELOG.md")))
    assert cited.get("date-released") == releases.get(cited["version"])
    assert cited["version"] == hooksync.__version__


# --- the installation


def run_ci(script: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci" / script, *args],
        env={**os.environ, "PYTHON": sys.executable, **environ},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# a Python whose environments contain it again, and that records its environment and its arguments
FAKE_PYTHON = """\
#!/usr/bin/env bash
case "$*" in
"-I -c "*) exit 0 ;;
"-I -S -c "*) exec REAL "$@" ;;
*" -m venv "*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
*" wheel "*) mkdir -p "${@: -2:1}"; touch "${@: -2:1}/hooksync-1.0.whl" ;;
esac
env >>SEEN
echo "arguments: $*" >>SEEN
"""


def test_pip_and_the_build_see_no_secret_of_the_job_and_install_only_locked_wheels(
    tmp_path: Path,
) -> None:
    python, seen, target = (tmp_path / name for name in ("python", "seen", "environment"))
    text = FAKE_PYTHON.replace("REAL", sys.executable).replace("SEEN", str(seen))
    python.write_text(text, encoding="utf-8")
    python.chmod(0o755)
    (target / "bin").mkdir(parents=True)
    (target / "bin" / "hooksync").write_text("#!/bin/sh\necho hooksync 1.0\n", encoding="utf-8")
    (target / "bin" / "hooksync").chmod(0o755)
    secrets = {
        "PRESERVICA_PASSWORD": "s3cret-of-the-job",
        "PIP_PASSWORD": "another-s3cret",
        "a-name.of-a-job": "third-s3cret",
    }
    mirror = {"PIP_FIND_LINKS": "/mirror", "PYTHONPATH": "/checkout"}
    done = run_ci("install", str(target), **secrets, **mirror, PYTHON=str(python))
    assert (done.returncode, done.stdout) == (0, "hooksync 1.0\n"), done.stderr
    recorded = seen.read_text(encoding="utf-8")
    assert not [secret for secret in secrets.values() if secret in recorded]
    assert "PYTHONPATH" not in recorded
    assert "PIP_FIND_LINKS=/mirror\n" in recorded
    calls = re.findall(r"^arguments: (.* -m pip .*)$", recorded, re.MULTILINE)
    from_elsewhere = [call for call in calls if "--no-index" not in call]
    assert (len(calls), len(from_elsewhere)) == (4, 2)
    assert all(" --require-hashes --only-binary :all: " in call for call in from_elsewhere)
    assert all(call.startswith("-I -m pip ") for call in calls)


# --- dependencies


def distributions(names: set[str]) -> set[str]:
    """Return the distributions that provide the imported names: pyyaml for yaml."""
    found = packages_distributions()
    return {
        distribution.lower().replace("_", "-") for name in names for distribution in found[name]
    }


def declared(*groups: list[str]) -> list[str]:
    names = [re.match(r"[\w.-]+", each) for group in groups for each in group]
    return sorted(name[0].lower() for name in names if name)


@pytest.mark.slow
def test_hooksync_declares_exactly_the_libraries_that_it_imports() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    names = set().union(*map(foreign_imports, modules()))
    assert sorted(distributions(names)) == declared(
        project["dependencies"], extras["cloud"], extras["totp"]
    )


# --- the instructions to install


INSTALLS = r"\b(?:pip3?|pipx|uv|uvx|poetry)\b[^\n`|;&]* (?:install|add|run) [^\n`|;&]*"
OWN_NAME = re.compile(rf"hooksync\[|{INSTALLS}(?<=[ '\"])hooksync(?![\w/.-])")


def test_no_file_shows_how_to_install_the_name_hooksync_from_a_package_index() -> None:
    folders = ("hooksync", "docs", "examples", "schemas", ".ci", ".github")
    found = []
    for path in [
        *ROOT.glob("*"),
        *(path for folder in folders for path in (ROOT / folder).rglob("*")),
    ]:
        is_data = path.suffix in (".pyc", ".png", ".svg", ".woff2") or ".coverage" in path.name
        if is_data or not path.is_file():
            continue
        name = path.relative_to(ROOT).as_posix()
        for line in path.read_text(encoding="utf-8").splitlines():
            # pyproject.toml names its own extras: for pip, this name means the clone
            is_self = name == "pyproject.toml" and line.startswith('  "hooksync[')
            if OWN_NAME.search(line) and not is_self:
                found.append(f"{name}: {line.strip()}")
    assert found == []
