"""Holds the state of a cell of the fault matrix against what the sandbox holds, by id and address.

The laws compare the secrets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from hooksync.state.format import read_state
from hooksync.state.model import State
from tests.faults.run import Result
from tests.faults.scene import OURS, SALT, declared_places

TENANCY = "prod"


def untruths_of_the_state(result: Result) -> Iterator[str]:
    """Name what the state says that is not so, and what it does not know."""
    first, second = (read_state(came.state, "hooks.state.json") for came in (result.first, result.second))
    if not result.cell.states:
        yield from (f"the state after the faults {text}" for text in _unknown(first, result))
    if any(salt != SALT for salt in (*first.salts, *second.salts)):
        yield "the state has another salt than the one that there was"
    if result.others:
        return  # what the other one made is its own
    there = {one.id for one in result.second.live if one.url.startswith(f"{OURS}/")}
    if set(second.entries_of(TENANCY)) != there:
        yield f"the state at the end knows {len(second.entries)} subscriptions, and there are {len(there)}"
    addresses = {place: address for address, place in declared_places(result.cell.way).items()}
    places = {one.id: (one.url, one.trigger) for one in result.second.live}
    for identifier, entry in second.entries_of(TENANCY).items():
        if identifier in there and entry.address != addresses.get(places[identifier]):
            yield f"the state at the end calls {entry.address} what is declared by another name"
    if second.intents:
        yield f"the state at the end has {len(second.intents)} intents left"


def _unknown(state: State, result: Result) -> Iterator[str]:
    """Name what the run made and the next one would not know, and intents whose end is known."""
    came, earlier = result.first, {one.id for one in result.first.before}
    entries, intents = state.entries_of(TENANCY), {intent.address for intent in state.intents}
    [tenancy] = json.loads(came.out)["tenancies"]
    steps = {step["address"]: step for step in tenancy["steps"] if step["action"] in ("subscribe", "resubscribe")}
    addresses = {(step["url"].lower().replace(":443", ""), step["trigger"]): address for address, step in steps.items()}
    known = {(one.url, one.trigger) for one in came.live if one.id in entries}  # of two that a proxy made, one will do
    for one in came.live:
        is_made = one.id not in earlier and (one.url, one.trigger) not in known
        if is_made and addresses[one.url, one.trigger] not in intents:
            yield f"does not know {one.url} {one.trigger}, which was made"
    for address, step in steps.items():
        if step["new_id"] and step["new_id"] not in entries:
            yield f"has no entry for the new id of {address}"
        if step["new_id"] and address in intents:
            yield f"has an intent left for {address}, which was made"
