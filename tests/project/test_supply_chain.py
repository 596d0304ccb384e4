"""Tests of the supply chain: dependencies, the scripts under .ci, and the permissions of workflows.

The tests need no network. They do not repeat the checks of .ci/lint: zizmor finds actions that are
not pinned, tokens that a checkout leaves, and expressions within scripts. Three scripts check the
rest. .ci/lowest tests the lowest versions, .ci/audit looks up known weaknesses, and
.ci/reproducible compares two builds.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

import hooksync
from tests.backends import missing
from tests.command_line import ROOT
from tests.project.test_architecture import foreign_imports, modules

CI = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
WORKFLOWS += sorted((ROOT / "examples").glob("**/workflows/*.y*ml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.suffix == "")
MAY_WRITE = {  # workflow, job, what it may write: why
    ("hooksync.yml", "plan", "pull-requests"): "the plan is a comment of the pull request",
    ("hooksync.yml", "apply", "contents"): "the state is on a branch",
    ("hooksync.yml", "adopt", "contents"): "the same",
    ("hooksync.yml", "drift", "issues"): "one issue is open as long as there is drift",
    **{
        ("staging-and-production/hooksync.yml", job, scope): "as with one environment"
        for job, scope in (
            ("plan-staging", "pull-requests"),
            ("plan-production", "pull-requests"),
            ("staging", "contents"),
            ("production", "contents"),
            ("adopt", "contents"),
            ("drift", "issues"),
        )
    },
    ("lock.yml", "propose", "contents"): "the branch with newer versions",
    ("lock.yml", "propose", "pull-requests"): "the pull request from it",
    ("release.yml", "attest", "attestations"): "the provenance is kept with the repository",
    ("release.yml", "attest", "id-token"): "it is signed as the workflow",
    (
        "release.yml",
        "publish",
        "id-token",
    ): "the index trusts the workflow, and there is no password",
    ("release.yml", "release", "contents"): "the release, and the tag that the action is named by",
    ("release.yml", "image", "packages"): "the image, which another job has built",
    ("release.yml", "image", "attestations"): "its provenance",
    ("release.yml", "image", "id-token"): "it is signed as the workflow",
}

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT)["project"]
BUILD: list[str] = tomllib.loads(PYPROJECT)["build-system"]["requires"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# the extras that the action and the image install; neither has a keyring
LOCKED = [
    *EXTRAS["cloud"],
    *EXTRAS["totp"],
]
OPTIONAL = [*LOCKED, *EXTRAS["keyring"]]


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def jobs_of(path: Path) -> dict[str, dict[str, Any]]:
    return load(path)["jobs"]


def events_of(path: Path) -> set[str]:
    return set(load(path)[True])  # YAML 1.1 reads `on` as true


def writes_of(permissions: object) -> set[str]:
    """Return the scopes that may be written. A single word, such as write-all, means all scopes."""
    match permissions:
        case None:
            return set()
        case dict():
            return {
                scope for scope, access in permissions.items() if access not in ("read", "none")
            }
        case _:
            return {str(permissions)}


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
        for scope in writes_of(each.get("permissions"))
    }
    assert written == {key for key in MAY_WRITE if key[0] == title}


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_starts_only_on_events_that_give_strangers_no_secret_or_writing_token(
    path: Path,
) -> None:
    assert events_of(path) <= {
        "pull_request",
        "merge_group",
        "push",
        "schedule",
        "workflow_dispatch",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_every_job_has_a_timeout_of_at_most_30_minutes(path: Path) -> None:
    assert not [name for name, job in jobs_of(path).items() if not 0 < job["timeout-minutes"] <= 30]


def test_only_a_run_of_a_pull_request_is_cancelled_by_a_newer_one() -> None:
    for path in WORKFLOWS:
        at_once = load(path).get("concurrency", {})
        if path.name == "hooksync.yml":  # for any other event, the group has only one run
            group = "hooksync-${{ github.event.pull_request.number || github.run_id }}"
            assert at_once["group"] == group
        for job in jobs_of(path).values():
            assert not job.get("concurrency", {}).get("cancel-in-progress")


def test_the_ci_of_this_repository_uses_no_secrets_and_no_permissions_of_jobs() -> None:
    assert "secrets." not in CI.read_text(encoding="utf-8")
    assert not [job for job in jobs_of(CI).values() if "permissions" in job]


def test_a_job_that_may_write_runs_no_code_of_others_apart_from_the_tools_to_publish() -> None:
    jobs = {(path.name, name): job for path in WORKFLOWS for name, job in jobs_of(path).items()}
    writing = {
        (workflow, job) for workflow, job, _ in MAY_WRITE if workflow in ("lock.yml", "release.yml")
    }
    for each in writing:
        run = "\n".join(step.get("run", "") for step in jobs[each]["steps"])
        assert jobs[each]["needs"]
        assert (
            ".ci/requirements-tools.txt" in run
            if each[1] == "publish"
            else not re.search(r"pip|(?<!/)\.ci/\w+ ", run)
        )
    assert {name for workflow, name in jobs if workflow in ("lock.yml", "release.yml")} == {
        *(job for _, job in writing), "upgrade", "test", "build", "build-image",
    }  # fmt: skip


# --- the scripts


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_of_ci_stops_at_the_first_failure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert "\n. .ci/common.sh\n" in text
    assert os.access(path, os.X_OK)


def test_the_lowest_versions_are_tested_with_the_test_command_of_the_readme() -> None:
    assert f" && {text_of('.ci/lowest').splitlines()[-1]}\n```\n" in text_of("README.md")


def test_the_script_reproducible_refuses_a_python_that_does_not_exist(tmp_path: Path) -> None:
    done = run_ci(ROOT, "reproducible", PYTHON="/no/such/python", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: PYTHON=/no/such/python is not a Python 3.11 or later with venv\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "usage"),
    [
        ("install", "FOLDER"),
        ("release", "FOLDER TAG"),
        ("lock", "--check"),
        ("extras", "WHEEL"),
        ("reproducible", "--check WHEEL"),
    ],
)
def test_a_script_with_wrong_arguments_prints_its_usage(script: str, usage: str) -> None:
    done = run_ci(ROOT, script, *["nonsense"] * 4)
    assert (done.returncode, done.stdout) == (64, "")
    assert f".ci/{script} {usage}" in re.sub(" +", " ", done.stderr)


def test_a_release_whose_tag_is_not_its_version_is_refused_before_anything_is_built(
    tmp_path: Path,
) -> None:
    done = run_ci(ROOT, "release", str(tmp_path), "v99.0.0")
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert done.stderr.startswith("error: the tag is v99.0.0, and the version of hooksync ")


def test_the_citation_has_the_version_of_the_package_and_the_date_of_the_changelog() -> None:
    cited = yaml.safe_load(text_of("CITATION.cff"))
    releases = dict(re.findall(r"(?m)^## \[(\d.*)\] - (.*)$", text_of("CHANGELOG.md")))
    assert cited.get("date-released") == releases.get(cited["version"])
    assert cited["version"] == hooksync.__version__


# --- the locked versions


def run_ci(
    checkout: Path, script: str, *args: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / ".ci" / script, *args],
        env={**os.environ, "PYTHON": sys.executable, **environ},
        cwd=checkout,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the parts of the checkout that .ci needs, so that a test can change them."""
    made = tmp_path / "checkout"
    shutil.copytree(ROOT / ".ci", made / ".ci")
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, made)
    return made


UV = """\
#!/usr/bin/env bash
[ "${*: -1}" != - ] || cat >/dev/null
all=$*
out=${all##*--output-file }
out=${out%% *}
"""


def uv(folder: Path, does: str) -> str:
    """Write a program uv that runs the script `does`, in which $out is the list to write. Return
    the folder of the program.
    """
    folder.mkdir()
    script = folder / "uv"
    script.write_text(f"{UV}{does}\n", encoding="utf-8")
    script.chmod(0o755)
    return str(folder)


@pytest.mark.slow
def test_lock_with_check_reports_a_stale_list_and_leaves_it_unchanged(
    checkout: Path, tmp_path: Path
) -> None:
    before = (checkout / "requirements.txt").read_bytes()
    same = run_ci(checkout, "lock", "--check", TOOLS=uv(tmp_path / "same", "exit 0"))
    assert (same.returncode, same.stdout) == (0, "== locked: nothing new\n"), same.stderr
    other = uv(
        tmp_path / "other", 'case $out in */requirements.txt) echo "# more" >>"$out" ;; esac'
    )
    stale = run_ci(checkout, "lock", "--check", TOOLS=other)
    assert (stale.returncode, (checkout / "requirements.txt").read_bytes()) == (1, before)
    assert (
        stale.stderr
        == "error: requirements.txt: not what pyproject.toml and .ci/lock ask for; run .ci/lock\n"
    )
    made = run_ci(checkout, "lock", TOOLS=other)
    assert (made.returncode, made.stdout) == (0, "== locked: requirements.txt\n"), made.stderr
    assert (checkout / "requirements.txt").read_bytes() == before + b"# more\n"


@pytest.mark.slow
def test_a_bill_of_materials_is_refused_if_the_environment_differs_from_the_locked_versions(
    environment: Path, tmp_path: Path
) -> None:
    if "TOOLS" not in os.environ:
        missing(
            "the tools of .ci/requirements-tools.txt", "set TOOLS to the folder of their programs"
        )
    other, written = tmp_path / "environment", tmp_path / "sbom.json"
    shutil.copytree(environment, other, symlinks=True)
    (other / "bin" / "hooksync").write_text("#!/bin/sh\necho hooksync 1.0\n", encoding="utf-8")
    (other / "bin" / "hooksync").chmod(0o755)
    done = run_ci(ROOT, "sbom", str(other), str(written))
    assert (done.returncode, written.exists()) == (1, False), done.stderr
    assert "error: the environment is not what is locked: " in done.stderr
    assert {"pip", "pyyaml"} <= set(re.findall(r"([\w-]+)==", done.stderr))


# --- the installation


BACKEND = """\
import os, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open("seen-by-the-build", "w") as seen:
        seen.write(repr(dict(os.environ)))
    return os.path.basename(shutil.copy("hooksync-1.0-py3-none-any.whl", folder))
"""
RUNNER_PYTHON = """\
#!/usr/bin/env bash
[ "$2 $3" = "-m venv" ] || exec REAL "$@"
env >>SEEN
for last; do :; done
mkdir -p "$last"
cp -a MADE/. "$last"
mv "$last/bin/python" "$last/bin/real"
cat >"$last/bin/python" <<'END'
#!/usr/bin/env bash
env >>SEEN
echo "arguments: $*" >>SEEN
exec "${0%/*}/real" "$@"
END
chmod +x "$last/bin/python"
"""
EVIL = "import pathlib\npathlib.Path({!r}).touch()\n"


def make_wheel(folder: Path, name: str, files: dict[str, str], needs: str = "") -> str:
    """Write a wheel of version 1.0, and return its line for a list of requirements."""
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files = files | {
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for each, text in files.items():
            wheel.writestr(each, text)
        wheel.writestr(
            f"{info}/RECORD", "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
        )
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class Installation:
    """A checkout of a small package that is called hooksync, and a folder that serves as the index."""

    checkout: Path
    index: Path
    target: Path
    seen: Path
    made: Path  # an environment that is copied, because making one takes seconds

    def install(self, **environ: str) -> subprocess.CompletedProcess[str]:
        python = self.index.parent / "python"
        filled = {"SEEN": str(self.seen), "REAL": sys.executable, "MADE": str(self.made)}
        python.write_text(
            re.sub("|".join(filled), lambda found: filled[found[0]], RUNNER_PYTHON),
            encoding="utf-8",
        )
        python.chmod(0o755)
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        return run_ci(
            self.checkout, "install", str(self.target), **index, **environ, PYTHON=str(python)
        )

    def build_with(self, listed: str) -> None:
        (self.checkout / ".ci" / "requirements-build.txt").write_text(listed, encoding="utf-8")

    @property
    def has_hooksync(self) -> bool:
        return (self.target / "bin" / "hooksync").exists()


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-I", "-m", "venv", made], check=True)
    return made


@pytest.fixture
def installation(checkout: Path, environment: Path, tmp_path: Path) -> Installation:
    index = tmp_path / "index"
    index.mkdir()
    (checkout / "requirements.txt").write_text(
        make_wheel(index, "needed", {"needed.py": ""}), encoding="utf-8"
    )
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
        '[project]\nname = "hooksync"\nversion = "1.0"\n',
        encoding="utf-8",
    )
    said = {"hooksync.py": 'def main(): print("hooksync 1.0")\n'}
    script = "hooksync-1.0.dist-info/entry_points.txt"
    make_wheel(
        checkout, "hooksync", {**said, script: "[console_scripts]\nhooksync = hooksync:main\n"}
    )
    installation = Installation(
        checkout, index, tmp_path / "environment", tmp_path / "seen-by-pip", environment
    )
    installation.build_with(make_wheel(index, "backend", {"backend.py": BACKEND}))
    return installation


@pytest.mark.slow
def test_pip_and_the_build_see_no_secret_of_the_job_and_run_no_module_of_the_checkout(
    installation: Installation, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    for name in ("sitecustomize", "venv", "pip", "os"):
        (installation.checkout / f"{name}.py").write_text(EVIL.format(str(ran)), encoding="utf-8")
    secrets = {
        "PRESERVICA_PASSWORD": "s3cret-of-the-job",
        "PIP_PASSWORD": "another-s3cret",
        "a-name.of-a-job": "third-s3cret",
    }
    done = installation.install(
        **secrets,
        PYTHONPATH=str(installation.checkout),
        PYTHONSTARTUP=str(installation.checkout / "os.py"),
    )
    assert (done.returncode, done.stdout) == (0, "hooksync 1.0\n"), done.stderr
    assert not ran.exists()
    pip, build = (
        installation.seen.read_text(encoding="utf-8"),
        (installation.checkout / "seen-by-the-build").read_text(encoding="utf-8"),
    )
    assert not [each for each in secrets.values() if each in pip + build]
    assert f"PIP_FIND_LINKS={installation.index}\n" in pip  # a mirror is still found
    assert "PIP_FIND_LINKS" not in build  # the build needs no index
    calls = [
        line for line in pip.splitlines() if line.startswith("arguments: ") and " install " in line
    ]
    from_elsewhere = [line for line in calls if "--no-index" not in line]
    assert len(from_elsewhere) == 3  # two calls, of which one starts a second pip
    assert all(" --require-hashes --only-binary :all: " in line for line in from_elsewhere)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["requirements.txt", ".ci/requirements-build.txt"])
def test_a_package_whose_hash_differs_from_the_locked_hash_is_refused(
    installation: Installation, which: str
) -> None:
    list_ = installation.checkout / which
    list_.write_text(
        re.sub(r"sha256:....", "sha256:0000", list_.read_text(encoding="utf-8")), encoding="utf-8"
    )
    done = installation.install()
    assert (done.returncode, installation.has_hooksync) == (1, False)
    assert "DO NOT MATCH THE HASHES" in done.stderr


@pytest.mark.slow
def test_a_source_package_is_refused_even_if_its_hash_is_right(
    installation: Installation,
) -> None:
    source = installation.index / "source-1.0.tar.gz"
    source.write_bytes(b"setup.py, say")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    installation.build_with(f"source==1.0 --hash=sha256:{digest}\n")
    assert "No matching distribution found for source==1.0" in installation.install().stderr


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


@pytest.mark.parametrize(
    "each",
    [
        *BUILD,
        *PROJECT["dependencies"],
        *OPTIONAL,
        *EXTRAS["docs"],
        *EXTRAS["test"],
        *EXTRAS["servers"],
    ],
)
def test_a_dependency_has_a_lowest_version_and_no_highest_version(each: str) -> None:
    assert re.fullmatch(r"[\w.-]+>=\d[\w.]*", each)


@pytest.mark.slow
def test_hooksync_declares_exactly_the_libraries_that_it_imports() -> None:
    names = {each.target.split(".")[0] for module in modules() for each in foreign_imports(module)}
    assert sorted(distributions(names)) == declared(PROJECT["dependencies"], OPTIONAL)


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
        if path.suffix in (".pyc", ".png", ".svg", ".woff2") or not path.is_file():
            continue
        name = path.relative_to(ROOT).as_posix()
        for line in path.read_text(encoding="utf-8").splitlines():
            # pyproject.toml names its own extras: for pip, this name means the clone
            is_self = name == "pyproject.toml" and line.startswith('  "hooksync[')
            if OWN_NAME.search(line) and not is_self:
                found.append(f"{name}: {line.strip()}")
    assert found == []
