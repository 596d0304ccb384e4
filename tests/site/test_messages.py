"""The page on messages explains those that users meet. The tests here provoke the ordinary ones; the
tests beside each module provoke the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from tests.clocks import JumpingClock
from tests.conftest import HOOKS, Place, Run
from tests.site.parts import DOCS

PAGE = (DOCS / "messages.md").read_text(encoding="utf-8")
MESSAGES_PART = PAGE.partition("\n## The hooks file\n")[2]  # after the exit codes
ENTRIES = dict(
    re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", MESSAGES_PART, re.MULTILINE | re.DOTALL)
)
MOST = 40
SECRET = "{env: CATALOGUE_SECRET}"
Provocation = Callable[[Place], Run]


def run(
    command: str, *edit: str, faults: Sequence[str] = (), **variables: str | None
) -> Provocation:
    """Return a provocation that runs a command.

    `edit`: a text of the hooks file, and the text in its place; `variables`: their values; None
    unsets one.
    """

    def provoke(place: Place) -> Run:
        if edit:
            assert edit[0] in HOOKS
            place.write(HOOKS.replace(*edit))
        given = place.environ | variables
        place.environ = {name: value for name, value in given.items() if value is not None}
        place.clock = JumpingClock()
        for fault in faults:
            place.box.faults.add(fault)
        return place.run(*command.split())

    return provoke


def removing_first(place: Place) -> Run:
    """Replace a subscription whose successor the service refuses."""
    place.write(
        HOOKS.replace("    subscriptions:", "    replacement: remove-first\n    subscriptions:")
    )
    assert place.run("apply", "--yes").code == 0
    place.box.faults.add("status-422@subscribe:1")
    return place.run("apply", "--yes", "--replace", "*/INDEXED")


def removing_after_a_failure(place: Place) -> Run:
    """Remove a trigger in the same apply in which a new one is refused."""
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED, INGEST_FAILED, SECURITY_CHANGED]"))
    place.box.faults.add("status-400@subscribe:1")
    return place.run("apply", "--yes")


def without_a_state(place: Place) -> Run:
    """Plan what is live after the state is lost."""
    assert place.run("apply", "--yes").code == 0
    (place.folder / "hooks.state.json").unlink()
    return place.run("plan", "--out", "plan.json")


MESSAGES: dict[str, Provocation] = {
    # the hooks file
    "not valid YAML": run("validate", "tenant: DEMO", "tenant: @DEMO"),
    "a secret is never written into the file": run("validate", SECRET, "hunter2"),
    "the server is plain http: the password can be read in transit": run(
        "validate", "${BOX}", "http://eu.preservica.com"
    ),
    # variables and secrets
    "not set: …": run("plan", PRESERVICA_PASSWORD=None),
    "secret … runs a program, which is not allowed": run("plan", SECRET, "{command: [op, read]}"),
    # reaching Preservica
    "… -> 401: …": run("plan", PRESERVICA_PASSWORD="not-the-password"),
    "… -> 503: …": run("plan", faults=["status-503@list:*"]),
    "no connection to the server: …": run("check", BOX="https://nowhere.invalid"),
    # the phrases of a result
    "half done: …": removing_first,
    "unsettled: …": run("apply --yes", faults=["commit-cut@subscribe:1"]),
    "not tried: …": removing_after_a_failure,
    "Not as declared: …": run("apply --yes", faults=["status-400@subscribe:1"]),
    "Not verified: …": run("apply --yes", faults=["status-403@list:*:1"]),
    "not compared: …": without_a_state,
    # the state and its lock
    "the state … cannot be used: …": run("plan --state git:hooksync-state"),
}


@pytest.mark.slow
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.replace("…", "..."))
def test_hooksync_prints_an_ordinary_message_as_the_page_explains_it(
    message: str, place: Place
) -> None:
    done = MESSAGES[message](place)
    words = ".+".join(re.escape(part) for part in message.split("…"))
    assert re.search(words, done.text), done.text
    assert ENTRIES[message].rstrip().endswith(f"\n**Exit code:** {int(done.code)}")


def test_the_page_has_an_entry_for_each_tested_message() -> None:
    assert set(MESSAGES) <= set(ENTRIES)
    assert len(ENTRIES) <= MOST


def test_each_entry_explains_the_message_and_what_to_do() -> None:
    for message, entry in ENTRIES.items():
        meaning, _, remedy = entry.partition("\n**What to do:** ")
        assert meaning.strip(), message
        assert remedy.strip(), message


def test_hooksync_prints_the_example_at_the_top_of_the_page(place: Place) -> None:
    done = run("validate", "INDEXED", "INDEXD")(place)
    assert f"```output\n{done.err}```\n" in PAGE
