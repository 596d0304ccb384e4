"""The page on messages explains those that users meet. The tests here provoke the ordinary ones; the
tests beside each module provoke the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.clocks import JumpingClock
from tests.conftest import HOOKS, Place, Run
from tests.site.parts import DOCS

PAGE = (DOCS / "messages.md").read_text(encoding="utf-8")
MESSAGES_PART = PAGE.partition("\n## Command line\n")[2]  # after the exit codes
ENTRIES = dict(
    re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", MESSAGES_PART, re.MULTILINE | re.DOTALL)
)
FEWEST, MOST = 40, 60
Provocation = Callable[[Place], Run]


def typed(command: str) -> Provocation:
    """Return a provocation that runs a command."""
    return lambda place: place.run(*command.split())


def written(before: str, after: str, command: str = "validate") -> Provocation:
    """Return a provocation that edits the hooks file and runs a command."""

    def provoke(place: Place) -> Run:
        assert before in HOOKS
        place.write(HOOKS.replace(before, after))
        return place.run(*command.split())

    return provoke


def exported(name: str, value: str, command: str = "plan") -> Provocation:
    """Return a provocation that sets a variable and runs a command."""

    def provoke(place: Place) -> Run:
        place.environ[name] = value
        return place.run(*command.split())

    return provoke


def unset(name: str) -> Provocation:
    """Return a provocation that plans without a variable."""

    def provoke(place: Place) -> Run:
        del place.environ[name]
        return place.run("plan")

    return provoke


def with_faults(command: str, *faults: str) -> Provocation:
    """Return a provocation that runs a command while the service fails in these ways."""

    def provoke(place: Place) -> Run:
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
    # command line
    '--tenancy "…" matches no tenancy': typed("plan --tenancy nobody"),
    "there is no file …": typed("plan --file none.yaml"),
    "no variable names the server": typed("init --file new.yaml --from-live"),
    "… exists already, and was left as it is": typed("init"),
    "no live subscription has the id …": typed("remove 9495ddbf --yes"),
    # the hooks file
    "not valid YAML": written("tenant: DEMO", "tenant: @DEMO"),
    'unknown key "…"': written("triggers:", "trigers:"),
    'unknown trigger "…"': written("INDEXED", "INDEXD"),
    "a secret is never written into the file": written("{env: CATALOGUE_SECRET}", "hunter2"),
    'tenancy "…" has no subscriptions': written(HOOKS.partition("tenant: DEMO\n")[2], ""),
    "… must be text, but YAML reads this as …": written("tenant: DEMO", "tenant: 0123"),
    "the server is plain http: the password can be read in transit": written(
        "${BOX}", "http://eu.preservica.com"
    ),
    # variables and secrets
    "… variable ${…} is not set": unset("FN_KEY"),
    "… env:… is not set": unset("PRESERVICA_PASSWORD"),
    "secret … runs a program, which is not allowed": written(
        "{env: CATALOGUE_SECRET}", "{command: [op, read]}", "plan"
    ),
    # reaching Preservica
    "… -> 401: …": exported("PRESERVICA_PASSWORD", "not-the-password"),
    "… -> 503: …": with_faults("plan", "status-503@list:*"),
    "the server's name does not resolve": exported("BOX", "https://nowhere.invalid", "check"),
    # the phrases of a result
    "half done: …": removing_first,
    "unsettled: …": with_faults("apply --yes", "commit-cut@subscribe:1"),
    "not tried: …": removing_after_a_failure,
    "Not as declared: …": with_faults("apply --yes", "status-400@subscribe:1"),
    "Not verified: …": with_faults("apply --yes", "status-403@list:*:1"),
    "not compared: …": without_a_state,
    "not saved: …": without_a_state,
    # the state and its lock
    "there is no state at …": typed("state show"),
    "the state … cannot be used: …": typed("plan --state git:hooksync-state"),
    "… cannot be written: …": typed("plan --out no/such/folder/plan.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.replace("…", "..."))
def test_hooksync_prints_an_ordinary_message_as_the_page_explains_it(
    message: str, place: Place
) -> None:
    run = MESSAGES[message](place)
    words = ".+".join(re.escape(part) for part in message.split("…"))
    assert re.search(words, run.out + run.err), run.out + run.err
    assert ENTRIES[message].rstrip().endswith(f"\n**Exit code:** {int(run.code)}")


def test_the_page_has_an_entry_for_each_tested_message() -> None:
    assert set(MESSAGES) <= set(ENTRIES)
    assert FEWEST <= len(ENTRIES) <= MOST


def test_each_entry_explains_the_message_and_what_to_do() -> None:
    for message, entry in ENTRIES.items():
        meaning, _, remedy = entry.partition("\n**What to do:** ")
        assert meaning.strip(), message
        assert remedy.strip(), message


def test_hooksync_prints_the_example_at_the_top_of_the_page(place: Place) -> None:
    run = MESSAGES['unknown trigger "…"'](place)
    assert f"```output\n{run.err}```\n" in PAGE
