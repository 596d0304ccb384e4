"""Compare declared and live subscriptions and decide one step for each.

The heart, and pure: no I/O, no clock.

First they are paired, in dictionaries: by identity; where the service has changed the spelling of a
URL, and where a receiver has moved, by what the state remembers. Then each pair is judged. What is
not owned is never removed, unless a declared subscription replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    SecretState,
    Tenancy,
    address_matches,
)
from hooksync.core.record import Record
from hooksync.core.urls import is_respelling, owns_url
from hooksync.reconcile import plan as planned
from hooksync.state.fingerprints import declared_digest
from hooksync.state.history import NOTHING, History

Nested = Mapping[str, Any]  # data as JSON has them
Pairs = list[tuple[DeclaredSubscription, list[LiveSubscription]]]  # the one to keep comes first


class DiffOptions(Record, frozen=True, rename={"is_targeted": "targeted"}):
    """What the command line, or a saved plan, says about the comparison."""

    replace: tuple[str, ...] = ()  # globs of addresses to resubscribe even if nothing differs
    # True: only some of the declared are looked at, so undeclared ones are left alone
    is_targeted: bool = False


def make_plan(
    tenancy: Tenancy,
    live: Sequence[LiveSubscription],
    options: DiffOptions,
    history: History = NOTHING,
) -> planned.TenancyPlan:
    """Decide on exactly one step for each declared and each live subscription."""
    pairs = pair(tenancy, live, history, is_targeted=options.is_targeted)
    paired = {one.id for _, found in pairs for one in found}
    steps: list[planned.Step] = []
    for one in live:
        if one.id not in paired:
            steps.append(_step_without_declaration(one, tenancy, options, history))
    for declared, found in pairs:
        steps.append(_step_for(declared, found, tenancy, options, history))
        if len(found) > 1:
            steps += _duplicate_steps(declared, found, tenancy, options, history)
    return planned.TenancyPlan(
        tenancy, tuple(live), tuple(sorted(steps, key=planned.step_order)), history
    )


def pair(
    tenancy: Tenancy, live: Sequence[LiveSubscription], history: History, *, is_targeted: bool
) -> Pairs:
    """Find the live subscriptions that fill each declared one's place.

    By identity; and by what the state knows as made for it, where the service spells its URL in its
    own way and as no declared one: whoever can write the state cannot make one subscription pass
    for another. Then come those that the state knows under a declared address with another URL: the
    receiver has moved.

    `is_targeted`: only some of the declared are there. Moves are not looked for, as the old URL may
    be declared for another one by now.
    """
    pairs = {declared.key: list[LiveSubscription]() for declared in tenancy.subscriptions}
    others: list[LiveSubscription] = []
    for one in live:
        pairs.get(one.key, others).append(one)
    known = [one for one in others if one.id in history.made]
    if not history.is_proof:  # what moves will be removed
        known = [one for one in known if is_owned(tenancy, one, history)]
    made_for = (
        {declared_digest(history.url_salt, each.key): each for each in tenancy.subscriptions}
        if known
        else {}
    )
    addresses = {declared.address: declared for declared in tenancy.subscriptions} if known else {}

    for one in known:
        made = history.made[one.id]
        declared, moved = made_for.get(made.declared), addresses.get(made.address)
        if declared:  # in another spelling; else the answer that told this id was wrong
            if is_respelling(one.url.full, declared.url.full):
                pairs[declared.key].append(one)
        elif moved and moved.trigger == one.trigger and not is_targeted:
            pairs[moved.key].append(one)
    filled = list(zip(tenancy.subscriptions, pairs.values(), strict=True))
    for declared, found in filled:
        if (
            len(found) > 1
        ):  # one with its URL; the newest that the state knows, else one whose content is right
            found.sort(key=partial(_preference, declared, history))
    return filled


def is_moved(declared: DeclaredSubscription, live: LiveSubscription, history: History) -> bool:
    """Whether the live one of a pair was made for another URL than the one that is declared now."""
    if live.url.identity == declared.url.identity:
        return False
    made = history.made.get(live.id)
    return not (made and made.declared == declared_digest(history.url_salt, declared.key))


def _preference(
    declared: DeclaredSubscription, history: History, live: LiveSubscription
) -> tuple[int, ...]:
    """Sort the live ones of a place: the first is kept, or replaced."""
    return (
        live.key != declared.key,
        is_moved(declared, live, history),
        -history.run_of(live),
        bool(content_changes(declared, live, history)),
    )


def content_changes(
    declared: DeclaredSubscription, live: LiveSubscription, history: History = NOTHING
) -> tuple[planned.Change, ...]:
    """List the fields of a pair that differ, sorted; unknown ones are not compared."""
    reported: Nested = {"include_identifiers": history.flag_of(live)}
    wanted: Nested = {"include_identifiers": declared.include_identifiers}
    if reported == wanted:
        return ()
    reported = {field: value for field, value in reported.items() if value is not None}
    wanted = {field: value for field, value in wanted.items() if field in reported}
    return tuple(
        planned.Change(".".join(map(str, path)), was, wants)
        for path, was, wants in compare(reported, wanted)
    )


def compare(before: Nested, after: Nested) -> list[tuple[list[str | int], Any, Any]]:
    """List the paths at which nested data differ, sorted, with both values (None: missing)."""
    if before == after:
        return []
    from deepdiff import DeepDiff  # only here: it costs as much start-up as the rest of a plan
    from deepdiff.helper import notpresent

    found = [
        level
        for levels in DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0).values()
        for level in levels
    ]
    return [
        (
            level.path(output_format="list"),
            *(None if value is notpresent else value for value in (level.t1, level.t2)),
        )
        for level in sorted(found, key=lambda level: str(level.path()))
    ]


def _step_for(
    declared: DeclaredSubscription,
    found: Sequence[LiveSubscription],
    tenancy: Tenancy,
    options: DiffOptions,
    history: History,
) -> planned.Step:
    """Decide about a declared one. `found`: what is live in its place, the one to keep first."""
    if not found:
        return planned.Subscribe(declared, history.state_of(declared, None))
    live = found[0]
    state = history.state_of(declared, live)
    changes = content_changes(declared, live, history)
    moved = is_moved(declared, live, history)
    reasons = ["url changed"] if moved else []
    if _is_ambiguous(declared, found, history):
        reasons.append(planned.AMBIGUOUS)
    reasons += [f"{change.field} differs" for change in changes]
    reasons += _secret_reasons(live, state, tenancy, history)
    if options.replace and address_matches(declared.address, options.replace):
        reasons.append(planned.ASKED_FOR)
    if not reasons:
        return planned.Keep(declared, live, state)
    return planned.Resubscribe(declared, live, tuple(reasons), changes, state, is_move=moved)


def _is_ambiguous(
    declared: DeclaredSubscription, found: Sequence[LiveSubscription], history: History
) -> bool:
    """Whether hooksync may have made one of several, and nothing shows which one.

    To keep any of them could mean to keep somebody else's, with another secret, and to remove its
    own. What was there before the run that made the first one is no rival of it.
    """
    made = history.made.get(found[0].id)
    if made is None or not made.is_found:
        return False
    return any(
        not (history.is_certain(one) or one.id in made.seen or is_moved(declared, one, history))
        for one in found[1:]
    )


def _secret_reasons(
    live: LiveSubscription, state: SecretState, tenancy: Tenancy, history: History
) -> Iterable[str]:
    """Give why the secret needs a new subscription: it has changed, or it is unknown."""
    if state == "changed":
        yield "secret changed"
    if state != "unknown":
        return
    if changed := history.siblings.get(live.id):
        yield f"secret changed for {changed}, which has the same reference"
    elif live.id in history.unfinished:
        yield "an earlier run did not finish replacing it"
    elif (
        tenancy.unknown_secret == "replace" and live.id not in history.states
    ):  # else a new one is as unknown
        yield planned.SECRET_UNKNOWN


def is_owned(tenancy: Tenancy, live: LiveSubscription, history: History) -> bool:
    """Whether hooksync may remove a subscription that no file declares."""
    return not _why_left(tenancy, live, history)


def _why_left(tenancy: Tenancy, live: LiveSubscription, history: History) -> str:
    """Say why hooksync does not own a live subscription; empty if it does."""
    match tenancy.owns:
        case "all":
            return ""
        case "none":
            return "kept by `owns: none`"
        case "made":
            if live.id not in history.made:
                return planned.NOT_MADE
            return "" if history.is_proof else planned.UNPROVEN
        case prefixes:
            return "" if owns_url(prefixes, live.url.full) else "outside the prefixes of `owns`"


def _duplicate_steps(
    declared: DeclaredSubscription,
    found: Sequence[LiveSubscription],
    tenancy: Tenancy,
    options: DiffOptions,
    history: History,
) -> Iterator[planned.Step]:
    """Decide about the further live subscriptions of a place: those go that are owned or replaced.

    An earlier run may have replaced one and not removed it. --replace asks for the whole place to
    be replaced.
    """
    made = history.made.get(found[0].id)
    replaced = made.seen[:1] if made else ()
    is_requested = address_matches(declared.address, options.replace)
    for live in found[1:]:
        was = history.address_of(live)
        if is_requested or live.id in replaced or is_owned(tenancy, live, history):
            reason = "url changed" if is_moved(declared, live, history) else "duplicate"
            yield planned.Unsubscribe(live, reason, declared, was)
        else:
            yield planned.Leave(live, "duplicate", declared, was)


def _step_without_declaration(
    live: LiveSubscription, tenancy: Tenancy, options: DiffOptions, history: History
) -> planned.Step:
    """Decide about a live subscription that no declared one is paired with."""
    was = history.address_of(live)
    if why := "not targeted" if options.is_targeted else _why_left(tenancy, live, history):
        return planned.Leave(live, why, was=was)
    return planned.Unsubscribe(live, "no longer declared" if was else "not declared", was=was)
