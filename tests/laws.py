"""The laws that every run of hooksync must keep. Each law is one function over a plain record of a
run.

The simulation records what happened in a `Run`, and calls `broken_by`. For the runs at the end,
without faults, it adds the laws `SETTLED` and `IDLE`. Each law yields one text for each way in which the run breaks it.

How to make a `Run`: record the service itself, not the output of hooksync. `before` has the
subscriptions at the start of the run. `moments` have the subscriptions after each call that reached
the service, and after each change by others, in order. The moment of a list call also has the list
that the run was shown. If the list lags, it differs from the subscriptions that are held. The
recorder normalises all URLs to one spelling. `result` is the plan or the report as JSON, and `said`
is all other output.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from hooksync.core.errors import ExitCode
from hooksync.core.urls import owns_url

Place: TypeAlias = tuple[str, str]  # a URL as the service holds it, and a trigger as on the wire
Live: TypeAlias = Mapping[str, Place]  # by id
CHANGING = ("subscribe", "unsubscribe")  # calls that change subscriptions
ACTIVE = ("subscribe", "resubscribe", "unsubscribe")  # actions of steps that change subscriptions
SOMEBODY_ELSE = ""  # `Moment.by` of a change that no run of hooksync made
# a warning that names only the first few addresses
UNNAMED = re.compile(r"(no list shows|live more than once).* and \d+ more")


def live_id(step: Mapping[str, Any]) -> str | None:
    """Return the id of the live subscription that a step is about."""
    return step["live"]["id"] if step["live"] else None


NO_OUTCOME = {"result": None, "problem": None, "new_id": None}


def outcome(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outcome of a step. In a plan, each of its fields is None."""
    return step["outcome"] or NO_OUTCOME


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription as the service really holds it."""

    tenant: str
    id: str
    url: str  # in one spelling
    trigger: str  # on the wire
    flag: bool
    secret: str = field(repr=False)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def place(self) -> Place:
        return self.url, self.trigger


NONE = frozenset[Held]()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription that the hooks file declares, with the current value of its secret."""

    address: str
    url: str  # in one spelling
    trigger: str  # on the wire
    flag: bool
    secret: str = field(repr=False)

    @property
    def place(self) -> Place:
        return self.url, self.trigger


@dataclass(frozen=True, slots=True)
class Declared:
    """A tenancy as the hooks file declares it, and a trait of its service."""

    name: str
    tenant: str
    wanted: tuple[Wanted, ...]
    owns: str | frozenset[str] = "all"  # or "made", "none", or prefixes
    is_targeted: bool = False  # --target is given: undeclared subscriptions are left alone
    removes_first: bool = False  # `replacement: remove-first`
    tells_flags: bool = True  # the list contains the flag

    def find(self, place: Place) -> Wanted | None:
        return next((one for one in self.wanted if one.place == place), None)


@dataclass(frozen=True, slots=True)
class Moment:
    """The subscriptions that the service held after a call, or after a change by somebody else."""

    by: str  # the name of the run that made the call, or SOMEBODY_ELSE
    held: tuple[Held, ...]
    call: str = ""  # "list", "subscribe", "unsubscribe", ...; empty if there was no call
    tenant: str = ""  # of the call
    # of the answer that the run got; None: it got no answer, or one that makes no sense
    status: int | None = None
    # what a list showed to the run; None: the call was no list, or no list arrived
    shown: tuple[Held, ...] | None = None
    named: str | None = None  # the id of the new subscription in the answer that the run got
    about: str = ""  # the id that the call was to remove
    asked: Place | None = None  # what the call was to make
    is_late: bool = False  # the service did it after the run had stopped waiting for it


@dataclass(frozen=True, slots=True)
class Remembered:
    """An entry of the state, or an attempt with an id."""

    tenancy: str
    id: str
    address: str
    # whether its fingerprint matches the secret of the live subscription; None: not live
    is_right: bool | None
    is_unconfirmed: bool = False  # nothing proves its secret
    flag: bool | None = None  # as sent; None: not known
    is_attempt: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run of hooksync, and the subscriptions before, during and after it."""

    name: str
    verb: str  # "plan", with --detailed-exitcode, or "apply"
    code: int | None  # None: it was killed
    tenancies: tuple[Declared, ...]
    before: tuple[Held, ...]
    moments: tuple[Moment, ...]
    # the plan or report; None: the run was killed, or printed none
    result: Mapping[str, Any] | None = None
    said: str = ""
    crash: str = ""  # a traceback; empty if there was none, as it should be
    written: tuple[str, ...] = ()  # texts of state, plan and report right after the run
    hidden: tuple[str, ...] = field(default=(), repr=False)  # secrets, passwords, tokens
    is_interrupted: bool = False
    meets_a_bug: bool = False  # a test raised an internal error in it on purpose
    fellows: frozenset[str] = frozenset()  # names of other runs that use the same state
    can_lose_lock: bool = False  # whether its run lock expires
    remembered: tuple[Remembered, ...] = ()  # records of the state before the run
    # records of the state after the run; None: there is no state, or it cannot be read
    remembers: tuple[Remembered, ...] | None = None
    # ids about which --adopt, or an answer of the service, was wrong
    misled: frozenset[str] = frozenset()
    # ids that runs of hooksync made, numbered in their order
    made: Mapping[str, int] = field(default_factory=dict)
    # by tenant and place: live subscriptions that hooksync made, without --replace, and that are no
    # entries after the run
    unproven: Mapping[tuple[str, Place], int] = field(default_factory=dict)
    is_reviewed: bool = True  # somebody answered a prompt, or read the plan
    promised: Mapping[str, Any] | None = None  # the saved plan that this run applies
    # ids that attempts may have made, with their addresses, from the state before this run
    meant: Mapping[str, str] = field(default_factory=dict)

    @property
    def after(self) -> tuple[Held, ...]:
        return self.moments[-1].held if self.moments else self.before

    def steps(self, tenancy: str) -> list[Mapping[str, Any]]:
        return [step for one in self.told if one["name"] == tenancy for step in one["steps"]]

    @property
    def told(self) -> list[Mapping[str, Any]]:
        return list(self.result["tenancies"]) if self.result else []

    @property
    def warnings(self) -> list[str]:
        return [it["what"] for it in self.result["warnings"]] if self.result else []

    def changes(self) -> Iterator[tuple[Moment, frozenset[Held], frozenset[Held]]]:
        """Yield each moment with the subscriptions that were made and removed at it."""
        before = self.before
        for moment in self.moments:
            if moment.held is before or moment.held == before:
                yield moment, NONE, NONE
            else:
                yield (
                    moment,
                    frozenset(moment.held).difference(before),
                    frozenset(before).difference(moment.held),
                )
            before = moment.held

    def last_list(self, tenant: str) -> Moment | None:
        """Return the last moment at which this run was shown the list of a tenant."""
        lists = [
            it
            for it in self.moments
            if it.by == self.name and it.tenant == tenant and it.shown is not None
        ]
        return lists[-1] if lists else None

    def owns(self, declared: Declared, one: Held) -> bool:
        """Return whether hooksync owns a subscription, and so removes it if it is undeclared."""
        if one.tenant != declared.tenant:
            return False
        if isinstance(declared.owns, frozenset):
            return owns_url(declared.owns, one.url)
        entries = {it.id for it in (*self.remembered, *(self.remembers or ()))}
        return declared.owns == "all" or (declared.owns == "made" and one.id in entries)

    def is_left(self, one: Held) -> bool:
        """Return whether the run reports a subscription as a duplicate that it leaves."""
        told = [(*each["steps"], *each.get("differences", ())) for each in self.told]
        steps = [step for several in told for step in several if live_id(step) == one.id]
        return any(step["action"] == "leave" and step["address"] for step in steps)

    def is_told(self, what: str) -> bool:
        """Return whether a warning names an address or a live id, or a step of it has a problem."""
        steps = [
            step
            for one in self.told
            for step in one["steps"]
            if what in (step["address"], live_id(step))
        ]
        is_named = any(what in it or UNNAMED.search(it) for it in self.warnings)
        return is_named or any(outcome(step)["problem"] for step in steps)


Law = Callable[[Run], Iterator[str]]


def nothing_unowned_is_removed(run: Run) -> Iterator[str]:
    """Nothing that is not owned is removed, except what a resubscribe replaces. Without a review,
    nothing is removed but what an entry of the state proves, or a proven subscription of the same
    URL and trigger replaces.
    """
    tenants = {one.tenant: one for one in run.tenancies}
    made_so_far: list[Held] = []
    for moment, made, gone in run.changes():
        if moment.by != run.name:
            continue
        made_so_far += made
        for one in gone:
            declared = tenants.get(one.tenant)
            if declared is None:
                continue
            is_recorded = one.id in run.meant or any(it.id == one.id for it in run.remembered)
            if not (run.is_reviewed or _is_proven(run, declared, one)):
                yield f"{moment.call} removed {one.place} ({one.id}), which nobody has reviewed"
            if run.owns(declared, one):
                continue
            if declared.owns == "made" and one.id in run.meant.keys() | run.made.keys():
                continue
            if is_recorded and declared.find(one.place):
                continue  # a duplicate
            if not _is_replaced(run, declared, one, (*moment.held, *made_so_far)):
                yield (
                    f"{moment.call} removed {one.place} of {one.tenant} ({one.id}), which is not"
                    " owned"
                )


def _is_proven(run: Run, declared: Declared, one: Held) -> bool:
    """Return whether an entry proves a removed subscription, or one that stays in its place."""
    entries = {it.id for it in (*run.remembered, *(run.remembers or ())) if not it.is_unconfirmed}
    if one.id in {it.id for it in run.remembered if not it.is_unconfirmed}:
        return True  # an entry, or an attempt with the id of a response, which is now listed
    for moment, made, _ in run.changes():
        if moment.by == run.name and moment.status == 200:
            entries |= {it.id for it in made}
    held = {it for moment in run.moments for it in (*moment.held, *(moment.shown or ()))}
    proven = {it.place for it in held if it.id in entries - {one.id} and it.tenant == one.tenant}
    return declared.find(one.place) is not None and one.place in proven


def _is_replaced(run: Run, declared: Declared, one: Held, there: Sequence[Held]) -> bool:
    """Return whether a declared subscription replaces a live one: made later, or, with
    `remove-first`, about to be made.

    `there`: the live subscriptions, and all that the run made, even if somebody has removed them.
    """
    for want in declared.wanted:
        if want.place != one.place:
            continue
        age = run.made.get(one.id, -1)
        others = [it for it in there if it.place == want.place]
        if declared.removes_first or any(run.made.get(it.id, -1) > age for it in others):
            return True
    return False


def exit_code_report_and_truth_agree(run: Run) -> Iterator[str]:
    """The exit code follows from the report, and the report says what became of each step."""
    if run.crash:
        yield f"it ends with a traceback: {run.crash[-600:]}"
    if run.code is None:
        return
    if "Traceback" in run.said:
        yield "it shows a traceback"
    if "internal error: " in run.said and not run.meets_a_bug:
        yield "it meets an error that no code is made for"
    if run.is_interrupted and run.code == ExitCode.DONE and _active(run):
        yield "it was interrupted, and exits 0"
    yield from _untrue_code(run)
    if run.verb == "apply" and run.result:
        fates = _fates(run)
        for declared in run.tenancies:
            for step in run.steps(declared.name):
                yield from _untrue_step(run, declared, step, fates)
        yield from _not_remembered(run)


def green_means_known(run: Run) -> Iterator[str]:
    """If apply exits 0, or a plan has no changes, everything is as declared, or the result names
    the difference.
    """
    if run.code != ExitCode.DONE or not run.result or (run.verb == "plan" and _active(run)):
        return
    for declared in run.tenancies:
        if run.promised is not None and declared.name not in {one["name"] for one in run.told}:
            continue  # the saved plan has no step there, so it is not part of the run
        last = run.last_list(declared.tenant)
        if last is None or last.shown is None:
            yield f"green, although nobody looked at {declared.name}"
            continue
        for one in declared.wanted:
            yield from _missing(run, declared, one, last)
        yield from _too_many(run, declared, last)


def served_stays_served(run: Run) -> Iterator[str]:
    """With `create-first`, an address that is served stays served, unless its loss was requested or
    is reported.
    """
    for one in run.tenancies:
        if one.removes_first:
            continue
        places = {each.address: each.place for each in one.wanted}
        remembered = {it.id: it.address for it in run.remembered if it.tenancy == one.name}
        serving = served(places, _live(run.before, one), remembered)
        # places that this run cannot fully see: others changed them, or a list lags
        touched: set[Place] = set()
        for moment, made, gone in run.changes():
            live = _live(moment.held, one) if gone else {}
            there = set(live.values())
            lost = [
                it
                for it, ids in serving.items()
                if gone and ids.isdisjoint(live) and places[it] not in there
            ]
            is_own = moment.by == run.name and not moment.is_late
            for address in lost:
                del serving[address]
                if is_own and places[address] not in touched:
                    yield f"{address} lost its old half by {moment.call} before there was a new one"
            if not is_own:
                touched |= {it.place for it in made | gone}
            elif moment.tenant == one.tenant and moment.shown is not None:
                shown, held = set(moment.shown), _of(moment.held, one)
                touched = set() if shown == held else touched
                touched |= {it.place for it in shown - held}


def served(
    declared: Mapping[str, Place], live: Live, remembered: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """Return the ids of the live subscriptions that serve each declared address. An address that is
    not served is left out.

    A live subscription serves the address of its identity. It also serves the address that the
    state has for its id, if its trigger is the same and its own identity is not declared.
    `declared`: places by address. `remembered`: addresses by id.
    """
    taken = set(declared.values())
    ids = {
        address: frozenset(
            identifier
            for identifier, there in live.items()
            if there == place
            or (
                remembered.get(identifier) == address
                and there not in taken
                and there[1] == place[1]
            )
        )
        for address, place in declared.items()
    }
    return {address: those for address, those in ids.items() if those}


def nothing_is_made_twice(run: Run) -> Iterator[str]:
    """A run makes no subscription a second time."""
    made_before: dict[tuple[str, Place], Held] = {}
    for moment, made, _ in run.changes():
        if moment.by != run.name or moment.is_late:
            continue
        for one in made:
            if made_before.get((one.tenant, one.place)) in moment.held:
                yield f"{moment.call} made {one.place} once more"
        made_before.update({(one.tenant, one.place): one for one in made})


def what_is_live_is_not_made_again(run: Run) -> Iterator[str]:
    """A run changes a tenancy only after it has read its list. It subscribes nothing that the state
    has as an entry, unless a list lacked it.
    """
    lists: defaultdict[str, list[set[str]]] = defaultdict(list)  # ids that the run was shown
    new = {
        outcome(step)["new_id"]
        for one in run.told
        for step in one["steps"]
        if step["action"] == "subscribe" and outcome(step)["new_id"]
    }
    for moment, made, gone in run.changes():
        if moment.by != run.name or moment.is_late:
            continue
        if moment.shown is not None:
            lists[moment.tenant].append({one.id for one in moment.shown})
        for one in (*made, *gone):
            if not lists[one.tenant]:
                yield f"{moment.call} changed {one.tenant}, whose list was not read"
        for one in made:
            live = {it.id for it in moment.held if (it.tenant, it.place) == (one.tenant, one.place)}
            for it in run.remembered:
                was_absent = any(it.id not in ids for ids in lists[one.tenant])
                if one.id in new and it.id in live and not (was_absent or it.is_attempt):
                    yield f"{one.place} was made again, and {it.id} is live"


def undeclared_ones_wait(run: Run) -> Iterator[str]:
    """An undeclared subscription is removed only if all declared subscriptions exist."""
    for declared in run.tenancies:
        places = {one.place for one in declared.wanted}
        selected = {one.address for one in declared.wanted}
        addresses = {it.id: it.address for it in (*run.remembered, *(run.remembers or ()))}
        addresses.update(run.meant)
        shown = set(run.before)  # with all that others remove meanwhile: hooksync cannot see it
        for moment, made, gone in run.changes():
            shown |= set(moment.shown or ())
            if moment.by == run.name:
                shown |= set(made)
            for one in gone:
                is_own = moment.by == run.name and not moment.is_late
                if one.tenant != declared.tenant or one.place in places or not is_own:
                    continue
                if addresses.get(one.id) in selected:
                    continue  # its URL was changed
                there = {it.place for it in moment.held if it.tenant == one.tenant}
                there |= {it.place for it in shown if it.tenant == one.tenant}
                if places - there:
                    yield f"{one.place} was removed, and {sorted(places - there)} does not exist"


def at_most_two_are_unproven(run: Run) -> Iterator[str]:
    """Of an identity, at most two live subscriptions that hooksync made are no entries of the state
    and newer than those, unless --replace named it, the service made one in spite of its 409, or
    hooksync took a subscription of somebody else for its own. The call that was in flight while a
    different run took over the run lock does not count: no lock can stop it. Neither does what an
    attempt made that nobody needed, and that an apply has closed: it is foreign.
    """
    for (tenant, place), number in run.unproven.items():
        if number > 2:
            yield f"{number} subscriptions for {place} of {tenant} are live, and no entries"


def a_saved_plan_does_what_it_shows(run: Run) -> Iterator[str]:
    """A saved plan that is applied does what it showed, without what it held, or nothing."""
    if run.promised is None or not run.result:
        return
    then, now = (
        {
            one["name"]: {
                (step["action"], step["address"], live_id(step))
                for step in one["steps"]
                if step["action"] in ACTIVE and not step["refusals"]
            }
            for one in document["tenancies"]
        }
        for document in (run.promised, run.result)
    )
    changed = {it.tenant for it in run.moments if it.by == run.name and it.call in CHANGING}
    for declared in run.tenancies:
        promised = then.get(declared.name, set())
        does = now.get(declared.name, set())
        if promised != does and declared.tenant in changed:
            yield f"it shows {sorted(map(str, promised))}, and does {sorted(map(str, does))}"


def exit_0_hides_nothing(run: Run) -> Iterator[str]:
    """Exit 0 of apply, and of a plan with --detailed-exitcode, means that nothing is unsettled, and
    that no secret is unknown.
    """
    if run.code != ExitCode.DONE or not run.result:
        return
    for declared in run.tenancies:
        for step in run.steps(declared.name):
            if outcome(step)["result"] == "unsettled":
                yield f"exit 0, and {step['address'] or live_id(step)} is unsettled"
            is_unknown = step["action"] == "keep" and step["secret"] != "same"
            if is_unknown:
                yield f"exit 0, and the secret of {step['address']} is {step['secret']}"


def same_means_same(run: Run) -> Iterator[str]:
    """No secret is wrong while a plan, a report or the state calls it the same."""
    secrets = {
        one.id: one.secret
        for held in (run.before, *(it.held for it in run.moments))
        for one in held
    }
    for declared in run.tenancies:
        wanted = {one.address: one for one in declared.wanted}
        for step in run.steps(declared.name):
            is_same = step["action"] == "keep" and step["secret"] == "same"
            if not is_same or live_id(step) in run.misled:
                continue
            if (
                live_id(step) in secrets
                and secrets[live_id(step)] != wanted[step["address"]].secret
            ):
                yield (
                    f"the secret of {step['address']} ({live_id(step)}) is said to be the same, and is"
                    " another one"
                )
    for entry in run.remembers or ():
        if entry.is_right is False and not entry.is_unconfirmed and entry.id not in run.misled:
            yield f"the state has a wrong fingerprint for {entry.address} ({entry.id})"


def no_secret_is_shown(run: Run) -> Iterator[str]:
    """No secret, password or token is in any output, state, plan or report."""
    for where, text in (("output", run.said), *(("a written file", text) for text in run.written)):
        for number, hidden in enumerate(run.hidden):
            if hidden in text:
                yield f"{where} shows the secret number {number}"


def one_apply_at_a_time(run: Run) -> Iterator[str]:
    """While an apply runs, no other run with the same state changes anything: it waits or is
    refused.
    """
    # if locks expire, a paused run may lose its lock: then it completes the change under way, and
    # makes no further change
    made = [it.by for it in run.moments if it.call in CHANGING and not it.is_late]
    others = {by for by in made if by in run.fellows}
    if run.verb != "apply" or not others:
        return
    if not run.can_lose_lock:
        yield from (
            f"{other} made changes meanwhile, with the same state" for other in sorted(others)
        )
    elif (after := made[min(map(made.index, others)) :].count(run.name)) > 1:
        yield f"{after} changes after {sorted(others)} took its lock over"


def one_apply_settles_all(run: Run) -> Iterator[str]:
    """Without further faults, one apply makes live match declared, and its exit code and report
    confirm this.
    """
    if run.code != _code_of_nothing(run):
        yield f"it exits {run.code}: {run.said[-400:]}"
    for declared in run.tenancies:
        steps = [
            step
            for step in run.steps(declared.name)
            if step["action"] not in ("unsubscribe", "leave")
        ]
        states = {step["address"]: step["secret"] for step in steps}
        actions = {step["address"]: step["action"] for step in steps}
        there = [one for one in run.after if one.tenant == declared.tenant]
        for want in declared.wanted:
            found = [one for one in there if one.place == want.place and not run.is_left(one)]
            if not found:
                yield f"{want.address} is missing"
            for one in found:
                is_unknown = (
                    states.get(want.address) in ("unknown", "not-set", "unusable")
                    and actions[want.address] == "keep"
                )
                if one.secret != want.secret and not is_unknown and one.id not in run.misled:
                    yield f"{want.address} has a wrong secret, and is not told as unknown"
                if one.flag != want.flag and _is_flag_known(run, declared, one) and not is_unknown:
                    yield f"{want.address} has the wrong flag"
        for one in there:
            is_to_go = not declared.is_targeted and run.owns(declared, one)
            if is_to_go and declared.find(one.place) is None:
                yield f"{one.place} is there and not declared"


def nothing_is_there_twice(run: Run) -> Iterator[str]:
    """Without further faults, no identity is live twice, except duplicates that are not owned and
    are reported.
    """
    for declared in run.tenancies:
        places = {want.place for want in declared.wanted}
        count = Counter(
            one.place
            for one in run.after
            if one.tenant == declared.tenant and one.place in places
            if run.owns(declared, one) or not run.is_left(one)
        )
        yield from (
            f"{place} is there {number} times" for place, number in count.items() if number > 1
        )


def the_state_knows_what_is_there(run: Run) -> Iterator[str]:
    """Without further faults, the state has each live subscription under its address, and nobody
    needs an attempt.
    """
    if run.remembers is None:
        return
    addresses = {it.id: it.address for it in run.remembers}
    for declared in run.tenancies:
        wanted = {one.place: one.address for one in declared.wanted}
        for one in run.after:
            if (
                one.tenant == declared.tenant
                and one.place in wanted
                and not run.is_left(one)
                and addresses.get(one.id) not in (None, wanted[one.place])
            ):
                yield (
                    f"the state has {addresses.get(one.id)} for {one.place}, not"
                    f" {wanted[one.place]}"
                )
    for one in run.told:
        if one["open_attempts"]:
            yield f"attempts are still open: {one['open_attempts']}"


def a_second_run_does_nothing(run: Run) -> Iterator[str]:
    """A run without changes around it changes nothing, has no steps, and exits 0. A plan exits 2 if
    it leaves duplicates or secrets are unknown.
    """
    calls = [
        moment.call for moment in run.moments if moment.by == run.name and moment.call in CHANGING
    ]
    if calls or run.code != _code_of_nothing(run) or _active(run):
        steps = ", ".join(
            f"{step['action']} {step['address'] or live_id(step)}" for step in _active(run)
        )
        yield f"it exits {run.code} after {len(calls)} changing calls, with {steps or 'no'} steps"


def _code_of_nothing(run: Run) -> ExitCode:
    """Return the exit code of a run that has nothing to do."""
    is_known = not any(run.is_left(one) for one in run.after)
    for declared in run.tenancies:
        for step in run.steps(declared.name):
            if step["action"] == "keep" and step["secret"] != "same":
                is_known = False
    return ExitCode.DONE if is_known or run.verb == "apply" else ExitCode.CHANGES_PENDING


LAWS: tuple[Law, ...] = (  # for any run
    nothing_unowned_is_removed,
    exit_code_report_and_truth_agree,
    green_means_known,
    served_stays_served,
    nothing_is_made_twice,
    what_is_live_is_not_made_again,
    undeclared_ones_wait,
    at_most_two_are_unproven,
    a_saved_plan_does_what_it_shows,
    exit_0_hides_nothing,
    same_means_same,
    no_secret_is_shown,
    one_apply_at_a_time,
)
# for the first apply without faults, in addition
SETTLED: tuple[Law, ...] = (
    one_apply_settles_all,
    nothing_is_there_twice,
)
# for every later run without faults, in addition
IDLE: tuple[Law, ...] = (
    *SETTLED,
    the_state_knows_what_is_there,
    a_second_run_does_nothing,
)


def broken_by(run: Run, laws: Iterable[Law] = LAWS) -> list[tuple[str, str]]:
    """Return the name of each law that a run breaks, and how it breaks it."""
    return [(law.__name__, how) for law in laws for how in law(run)]


def _active(run: Run) -> list[Mapping[str, Any]]:
    return [step for one in run.told for step in one["steps"] if step["action"] in ACTIVE]


def _of(held: Iterable[Held], declared: Declared) -> set[Held]:
    return {one for one in held if one.tenant == declared.tenant}


def _live(held: Iterable[Held], declared: Declared) -> dict[str, Place]:
    return {one.id: one.place for one in held if one.tenant == declared.tenant}


def _untrue_code(run: Run) -> Iterator[str]:
    """Yield how the exit code contradicts the changes that answers and lists showed to this run."""
    made, removed = set[Held](), set[Held]()
    for moment, new, gone in run.changes():
        if moment.by == run.name:
            # what the service makes in spite of its 409 may be that of an earlier attempt
            made |= {one for one in new if moment.status != 409 or one.id not in run.meant}
            removed |= gone
    named = {moment.named for moment in run.moments if moment.by == run.name}
    tried = [it for it in run.moments if it.by == run.name and it.call in CHANGING]
    unclear = tried if run.meets_a_bug else [it for it in tried if not _is_clear_no(it)]
    lists = [set(it.shown) for it in run.moments if it.by == run.name and it.shown is not None]
    may_have = unclear or any(one != lists[0] for one in lists)
    shown = {one.id for declared in run.tenancies for one in _shown(run, declared)}
    known = {one for one in made if one.id in named or one.id in shown}
    known |= {one for one in removed if one.id not in shown and one.tenant in _looked(run)}
    if run.code in (ExitCode.ERROR, ExitCode.REFUSED, ExitCode.USAGE) and known:
        yield f"exit {run.code}, and {len(known)} were changed"
    steps = [step for one in run.told for step in one["steps"]]
    may_have = may_have or any(outcome(step)["result"] == "unsettled" for step in steps)
    adopts = any(step["action"] == "adopt" for step in steps)  # this changes only the state
    if not adopts and run.code == ExitCode.PARTLY_APPLIED and not (made or removed or may_have):
        yield "exit 4, and nothing was changed, nor may have been"
    if run.verb == "plan" and (made or removed):
        yield "a plan has changed something"
    if run.code in (ExitCode.ERROR, ExitCode.PARTLY_APPLIED) and run.result and run.verb == "apply":
        told = run.told
        is_whole = not any(one["errors"] or one["refusals"] or one["not_verified"] for one in told)
        outcomes = {outcome(step)["result"] for one in told for step in one["steps"]}
        is_quiet = not any(one["differences"] for one in told) and not run.result["refusals"]
        is_quiet &= not run.result["errors"] and not run.meets_a_bug
        is_quiet &= not any(step["refusals"] for one in told for step in one["steps"])
        if is_whole and is_quiet and outcomes <= {"done", "unchanged"}:
            yield f"exit {run.code}, and the report knows of nothing amiss"


class _Fates(NamedTuple):
    """What happened to the ids in a run."""

    made: dict[str, Held]  # by this run
    gone: dict[str, Moment]  # when each was removed, by anybody
    shown: dict[str, set[str]]  # ids that the last list showed, by tenant
    answered: set[str]  # ids that an answer to this run reports as gone


def _fates(run: Run) -> _Fates:
    answered = {it.about for it in run.moments if it.by == run.name and it.status in (204, 404)}
    fates = _Fates(
        {},
        {},
        {one.tenant: {each.id for each in _shown(run, one)} for one in run.tenancies},
        answered,
    )
    for moment, made, gone in run.changes():
        fates.gone.update((one.id, moment) for one in gone)
        if moment.by == run.name:
            fates.made.update((one.id, one) for one in made)
    return fates


def _untrue_step(
    run: Run, declared: Declared, step: Mapping[str, Any], fates: _Fates
) -> Iterator[str]:
    """Yield how the outcome of a step contradicts what this run made and removed."""
    said = outcome(step)["result"]
    what = f"{step['action']} {step['address'] or live_id(step)} is said to be {said}"
    made, gone, shown = fates.made, fates.gone, fates.shown[declared.tenant]
    [told] = [one for one in run.told if one["name"] == declared.name]
    is_blind = bool(told["not_verified"]) or run.last_list(declared.tenant) is None
    new = outcome(step)["new_id"]
    found = {entry.id for entry in run.remembers or () if entry.is_unconfirmed}
    if (
        new
        and new not in made
        and new not in found | run.misled
        and not run.is_told(step["address"])
    ):
        yield f"{what}, with a new id that this run did not make"
    if step["action"] in ("subscribe", "resubscribe") and said == "done" and not new:
        [want] = [one for one in declared.wanted if one.address == step["address"]]
        is_said = any(want.address in it or UNNAMED.search(it) for it in run.warnings)
        if not is_said and not any(one.place == want.place for one in made.values()):
            yield f"{what}, without an id, and this run made nothing of the kind"
    if (
        step["action"] in ("unsubscribe", "resubscribe")
        and said == "done"
        and live_id(step) not in fates.answered
        and live_id(step) not in gone
        and any(one.id == live_id(step) for one in run.after)
    ):
        yield f"{what}, and no answer said so, and it is there"
    if step["action"] == "subscribe" and said in ("failed", "not-attempted") and not is_blind:
        [want] = [one for one in declared.wanted if one.address == step["address"]]
        for one in made.values():
            is_it = one.place == want.place and one.flag == want.flag and one.secret == want.secret
            if is_it and one.id in shown and not outcome(step)["problem"]:
                yield f"{what}, without a word, and is there as {one.id}"
    is_shown = live_id(step) in shown and declared.tenant in _looked(run)
    if (
        step["action"] == "unsubscribe"
        and said == "done"
        and is_shown
        and live_id(step) not in gone
    ):
        is_silent = not outcome(step)["problem"] and not any(
            live_id(it) == live_id(step) for it in told["differences"]
        )
        if is_silent:
            yield f"{what}, and is shown by the list, and nothing is said of it"
    if step["action"] == "unsubscribe" and said in ("failed", "not-attempted") and not is_blind:
        moment = gone.get(live_id(step))
        if moment and moment.by == run.name and not moment.is_late and live_id(step) not in shown:
            yield f"{what}, and this run has removed it"
    if (
        step["action"] in ("keep", "leave")
        and live_id(step) in gone
        and gone[live_id(step)].by == run.name
    ):
        yield f"{what}, and this run has removed it"


def _not_remembered(run: Run) -> Iterator[str]:
    """Yield the subscriptions that an answer or the report names as made, and the state lacks."""
    if run.remembers is None or not run.result or run.result["errors"]:
        return
    known, certain = (
        {it.id for it in run.remembers if not (is_sure and it.is_unconfirmed)}
        for is_sure in (False, True)
    )
    there = {one.id for one in run.after}
    names = Counter(moment.named for moment in run.moments if moment.by == run.name)
    for moment, made, _ in run.changes():
        is_named = (
            moment.by == run.name
            and {one.id for one in made} == {moment.named}
            and names[moment.named] == 1
        )
        if is_named and moment.named in there - certain:
            yield (
                f"the state does not know for certain that {moment.named} was made, although an"
                " answer said so"
            )
    for one in run.told:
        for step in one["steps"]:
            if outcome(step)["new_id"] and outcome(step)["new_id"] in there - known:
                yield f"the state has no entry for the new id of {step['address']}"


def _missing(run: Run, declared: Declared, want: Wanted, last: Moment) -> Iterator[str]:
    """Yield each fault of a declared subscription that a green run does not report.

    `last`: the moment of its last list.
    """
    steps = [step for step in run.steps(declared.name) if step["address"] == want.address]
    is_unknown = any(step["secret"] in ("unknown", "not-set", "unusable") for step in steps)
    held = [one for one in last.held if one.tenant == declared.tenant and one.place == want.place]
    kept = [one for one in held if not run.is_left(one)]
    held = kept or held
    stale = [one for one in last.shown or () if one.place == want.place and one not in last.held]
    if not held and not run.is_told(want.address) and not stale:
        yield f"green, and {want.address} is missing"
    shown = [one for one in kept if one in (last.shown or ()) and not run.is_told(one.id)]
    if len(shown) > 1:
        yield f"green, and {want.address} is there {len(shown)} times"
    for one in held if len(held) == 1 else ():
        is_known = not (is_unknown or stale or one.id in run.misled or run.is_told(want.address))
        if one.secret != want.secret and is_known:
            yield f"green, and {want.address} has another secret"
        if one.flag != want.flag and _is_flag_known(run, declared, one) and is_known:
            yield f"green, and {want.address} has another flag"


def _too_many(run: Run, declared: Declared, last: Moment) -> Iterator[str]:
    """Yield each owned live subscription that is undeclared and in the list, but not reported."""
    places = {one.place for one in declared.wanted}
    for one in last.held if not declared.is_targeted else ():
        is_silent = one in (last.shown or ()) and not run.is_told(one.id)
        if one.place not in places and is_silent and run.owns(declared, one):
            yield f"green, and {one.place} is there, not declared"


def _is_flag_known(run: Run, declared: Declared, one: Held) -> bool:
    """Return whether hooksync can find out a flag: the list or the state has it."""
    if declared.tells_flags:
        return True
    known = [
        it
        for it in run.remembered
        if it.id == one.id and it.flag is not None and not it.is_unconfirmed
    ]
    return bool(known) and one.id not in run.misled


def _shown(run: Run, declared: Declared) -> tuple[Held, ...]:
    last = run.last_list(declared.tenant)
    return (last.shown or ()) if last else ()


def _looked(run: Run) -> set[str]:
    """Return the tenants whose list this run read after its last change to them."""
    last = {
        it.tenant: it for it in run.moments if it.by == run.name and it.call in (*CHANGING, "list")
    }
    return {tenant for tenant, moment in last.items() if moment.shown is not None}


def _is_clear_no(moment: Moment) -> bool:
    """Return whether an answer shows that the call changed nothing. A cut or a 500 does not.

    A 404 to DELETE and a 409 to POST do not, either: an earlier try of the same call may have made
    the change.
    """
    is_so = (moment.call, moment.status) in (("unsubscribe", 404), ("subscribe", 409))
    return moment.status is not None and 300 <= moment.status < 500 and not is_so
