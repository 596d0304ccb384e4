"""Git, which keeps the state on a branch. No commit and no env file runs a program, and no server
fills the memory.

The hooks file is in a subfolder, so that a commit can add files there that look like a bare
repository. Processes are real. A program that git must not run leaves a file.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.command_line import run_python
from tests.conftest import HOOKS, Place
from tests.git_servers import BRANCH, Remote, missing_program
from tests.lanes import covering, sampled

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))

WHERE = f"git:{BRANCH}"
COMMANDS = {
    "plan": ("plan",),
    "apply": ("apply", "--yes"),
    "list": ("list",),
    "state show": ("state", "show"),
    "plan --out": ("plan", "--out", "{folder}/plan.json"),
}
URL = '[remote "origin"]\n\turl = {url}\n'
SSH = URL.format(url="ssh://127.0.0.1/x.git")
# settings of the folder that looks like a repository; if git read one, a program would leave a file
CONFIGS = {
    "ssh": f"{SSH}[core]\n\tsshCommand = touch {{mark}};\n",
    "ssh by an include": f"{SSH}[include]\n\tpath = included\n",
    "a hook": URL.format(url="{remote}") + "[core]\n\thooksPath = hooks\n",
    "fsmonitor": (
        URL.format(url="{remote}") + "[core]\n\tworktree = .\n\tfsmonitor = touch {mark};\n"
    ),
    "a protocol": URL.format(url="ext::touch% {mark}") + '[protocol "ext"]\n\tallow = always\n',
    "the other side": (
        URL.format(url="{remote}") + "\tuploadpack = touch {mark};\n\treceivepack = touch {mark};\n"
    ),
    "a helper": (
        URL.format(url="http://127.0.0.1:1/x.git") + '[credential]\n\thelper = "!touch {mark};"\n'
    ),
    "an alias": (
        URL.format(url="{remote}")
        + "[alias]\n\trev-parse = !touch {mark}\n\tconfig = !touch {mark}\n"
    ),
}

GET = """
import os, sys, tracemalloc
from hooksync.core.errors import StateError
from hooksync.state.git import GitBackend

tracemalloc.start()
try:
    GitBackend(*sys.argv[1:3], os.environ).get()
except StateError as error:
    print(error)
print(tracemalloc.get_traced_memory()[1] // 1024**2)
"""


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def repository(place: Place, remote: Remote, config: str) -> tuple[Path, Path]:
    """Push files that look like a repository; return a clone, and the file that must not appear."""
    mark = place.folder / "mark"
    author = remote.clone("author")
    folder = author / "production"
    texts = {
        "hooks.yaml": HOOKS,
        "HEAD": "ref: refs/heads/main\n",
        "config": f"[core]\n\trepositoryformatversion = 0\n\tbare = true\n{config}",
        "included": "[core]\n\tsshCommand = touch {mark};\n",
        "objects/keep": "",
        "refs/heads/keep": "",
        "hooks/pre-push": "#!/bin/sh\ntouch {mark}\n",
        "hooks/reference-transaction": "#!/bin/sh\ntouch {mark}\n",
        ".gitattributes": "* filter=evil diff=evil\n",
        ".gitmodules": (
            '[submodule "x"]\n\tpath = x\n\turl = ext::sh\n[fetch]\n\trecurseSubmodules = true\n'
        ),
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text.replace("{mark}", str(mark)).replace("{remote}", remote.url), encoding="utf-8"
        )
        path.chmod(0o755)
    remote.git("add", "--all", at=author)
    remote.git("commit", "--quiet", "-m", "production", at=author)
    remote.git("push", "--quiet", "origin", "HEAD:main", at=author)
    return remote.clone("clone"), mark


@pytest.mark.parametrize(("config", "command"), covering(product(CONFIGS, COMMANDS), every=4))
def test_committed_files_that_look_like_a_repository_run_no_program(
    config: str, command: str, place: Place, remote: Remote
) -> None:
    clone, mark = repository(place, remote, CONFIGS[config])
    place.environ |= remote.environ | {"HOOKSYNC_POLICY": place.policy()}
    arguments = [argument.format(folder=place.folder) for argument in COMMANDS[command]]
    done = place.run(
        *arguments, "--file", str(clone / "production" / "hooks.yaml"), "--state", WHERE
    )
    assert not mark.exists()
    expected = "there is no state" if command == "state show" else ""
    assert (done.code, expected in done.err) == (bool(expected), True), done.err
    assert (remote.git("branch", "--list", BRANCH) != "") is (command == "apply")
    if command == "plan --out":
        assert remote.head("main") in (place.folder / "plan.json").read_text()


def test_a_repository_of_a_different_user_is_refused(place: Place, remote: Remote) -> None:
    clone, _ = repository(place, remote, "")
    place.environ |= remote.environ | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    done = place.run("plan", "--file", str(clone / "production"), "--state", WHERE)
    assert done.code == 1
    assert "dubious ownership" in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    sampled(
        [
            ("GIT_SSH_COMMAND", "bin/evil"),
            ("GIT_SSH", "bin/evil"),
            ("PATH", "bin"),
            ("GIT_EXEC_PATH", "bin"),
            ("GIT_CONFIG_GLOBAL", "evil.config"),
        ],
        3,
    ),
)
def test_an_env_file_sets_no_variable_of_git(
    name: str, value: str, place: Place, remote: Remote
) -> None:
    mark = place.folder / "mark"
    (place.folder / "bin").mkdir()
    for program in ("git", "evil", "git-remote-http", "ssh"):
        place.write(f"#!/bin/sh\ntouch {mark}\n", f"bin/{program}").chmod(0o755)
    place.write(f"[core]\n\tsshCommand = touch {mark};\n", "evil.config")
    variables = place.write(f"{name}={place.folder / value}\n", "variables.env")
    clone = remote.clone("clone")
    remote.git("config", "remote.origin.url", "ssh://127.0.0.1:1/x.git", at=clone)
    (clone / "hooks.yaml").write_text(HOOKS)
    place.environ |= {name: value for name, value in remote.environ.items() if name != "PATH"}
    del place.environ["PATH"]
    files = ("--file", str(clone / "hooks.yaml"), "--env-file", str(variables))
    done = place.run_process("plan", *files, "--state", WHERE)
    assert (mark.exists(), done.code) == (False, 1)
    assert "git ls-remote" in done.err


@pytest.mark.parametrize("stream", [2, 1])
def test_a_git_server_that_sends_without_end_fills_no_memory(stream: int, remote: Remote) -> None:
    clone = remote.clone("clone")
    remote.git("config", "remote.origin.url", "ssh://127.0.0.1/x.git", at=clone)
    flood = remote.folder / "flood"
    flood.write_text(f"#!/bin/sh\nexec cat /dev/zero >&{stream}\n")
    flood.chmod(0o755)
    environ = remote.environ | {"GIT_SSH_COMMAND": f"{flood} #", "GIT_SSH_VARIANT": "ssh"}
    done = run_python(["-c", GET, WHERE, str(clone)], environ)
    *told, mib = done.out.splitlines()
    expected = "sends more than hooksync reads" if stream == 2 else "protocol error"
    assert "the state git:hooksync-state cannot be used: `git ls-remote`" in told[0]
    assert expected in told[0]
    assert int(mib) < 8
