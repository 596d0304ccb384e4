"""A review shows what its merge does: ordinary edits of one tenancy among forty, planned three ways."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, Run, hooksync
from tests.config.test_since import ENVIRON, Repository
from tests.git_servers import missing_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

NAMES = [f"t{number:02}" for number in range(1, 41)]
HOOKS = """\
version: 1
tenancies:
  {name}:
    server: {url}
    tenant: {name}
    probe: never
    subscriptions:
      catalogue: {{url: "https://hooks.example.net/{name}", trigger: MOVED, secret: {{env: HOOK}}}}
"""


class Forty(Repository):
    """A clone with a file for each tenancy, all applied from `main`."""

    def __init__(self, folder: Path, box: Sandbox) -> None:
        super().__init__(folder)
        shutil.rmtree(self.hooks)
        self.hooks.mkdir()
        self.docs = folder / "docs"
        self.docs.mkdir()
        for name in NAMES:
            text = HOOKS.format(name=name, url=box.url)
            (self.hooks / f"{name}.yaml").write_text(text)
        text = (self.hooks / "t05.yaml").read_text()
        (self.docs / "t05.yaml").write_text(text.replace("hooks.example.net", "evil.example"))
        self.commit()
        self.git("branch", "--force", "main")
        assert self.run("apply", "--yes").code == 0

    def run(self, *arguments: str) -> Run:
        environ = {**ENVIRON, **LOG_IN, "HOOK": "hush-hush-0123456789", "HOOKSYNC_LIST_WAIT": "0"}
        place = ["-f", "hooks", "--state", "../hooks.state.json"]
        return hooksync([*arguments, *place], environ, self.folder)


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forty]:
    accounts = (Account(tenants=tuple(NAMES)),)
    with Sandbox(SandboxOptions(accounts, frozenset({"no-challenge"}))) as box:
        yield Forty(tmp_path_factory.mktemp("forty") / "clone", box)


def _delete(forty: Forty) -> None:
    (forty.hooks / "t05.yaml").unlink()


def _rename(forty: Forty) -> None:
    forty.edit("t05.yaml", "  t05:", "  u05:")


def _link(forty: Forty) -> None:
    _delete(forty)
    (forty.hooks / "t05.yaml").symlink_to("../docs/t05.yaml")


def _copy(forty: Forty) -> None:
    """Copy a file, and leave out the tenant: the log-in leads to that of the original."""
    text = (forty.hooks / "t01.yaml").read_text()
    text = text.replace("  t01:", "  u01:").replace("    tenant: t01\n", "")
    (forty.hooks / "u01.yaml").write_text(text.replace("net/t01", "net/u01"))


def _disable(forty: Forty) -> None:
    forty.edit("t05.yaml", "    probe:", "    enabled: false\n    probe:")


def _move(forty: Forty) -> None:
    forty.edit("t05.yaml", "net/t05", "net/moved")


def _hand_over(forty: Forty) -> None:
    forty.edit("t05.yaml", "    probe:", "    enabled: false\n    owns: none\n    probe:")


GONE = "no file declares t05 any more: 1 subscription of the state"
NOT_DECLARED = "where the state has 1 subscription of t05"
TAKEOVER = "by the files, the log-in, the lists or the state, t01 and u01 may be one tenancy, "
CASES = {  # the edit, the tenancy of the narrow run, and code and words of each way
    "deleted": (_delete, "t06", (3, GONE), (0, "No changes. "), (0, NOT_DECLARED)),
    "renamed": (_rename, "u05", *[(0, "No changes. ")] * 3),
    "linked": (_link, "t05", *[(0, "https://evil.example/t05")] * 3),
    "copied": (_copy, "u01", *[(3, TAKEOVER)] * 3),
    "disabled": (_disable, "t05", *[(0, "1 to REMOVE")] * 3),
    "moved": (_move, "t05", *[(0, "1 to resubscribe")] * 3),
    "handed over": (_hand_over, "t05", *[(0, "1 to forget")] * 3),
}


@pytest.mark.parametrize(("edit", "name", "since", "narrow", "full"), CASES.values(), ids=CASES)
def test_each_way_to_plan_shows_what_a_merge_does(
    forty: Forty,
    edit: Callable[[Forty], None],
    name: str,
    since: tuple[int, str],
    narrow: tuple[int, str],
    full: tuple[int, str],
) -> None:
    edit(forty)
    try:
        for flags, (code, words) in (
            (["--since", "main"], since),
            (["--tenancy", name], narrow),
            ([], full),
        ):
            planned = forty.run("plan", *flags)
            assert (planned.code, words in planned.text) == (code, True), planned.text
            others = planned.text.count("t06") if name != "t06" else 0
            assert others == 0  # no other tenancy changes
    finally:
        forty.git("checkout", "--quiet", "--", ".")
        forty.git("clean", "--quiet", "--force")
