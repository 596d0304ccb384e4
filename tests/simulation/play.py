"""Plays a history: runs the real commands in this process one by one, and checks the laws after
each of them.
"""

from __future__ import annotations

import io
import json
import os
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from hooksync.api.options import RunOptions
from hooksync.api.run import open_run
from hooksync.commands import plan_apply
from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, HooksyncError
from hooksync.core.model import (
    TRIGGER_NAMES,
    Secret,
    SubscriptionKey,
    TenancyKey,
    Trigger,
)
from hooksync.core.urls import normal_url
from hooksync.sandbox.tenancies import Subscription
from hooksync.state.fingerprints import identity_digest
from hooksync.state.format import read_state
from hooksync.state.model import Attempt, State, SubscriptionRecord
from hooksync.state.store import StateStore
from tests.laws import (
    CHANGING,
    IDLE,
    LAWS,
    SETTLED,
    SOMEBODY_ELSE,
    Held,
    Moment,
    Place,
    Remembered,
    Run,
    broken_by,
    outcome,
)
from tests.memory_backend import PassiveStore
from tests.simulation.disk import Disk, FarBackend, Store
from tests.simulation.history import Command, Edit, History, Person, StateFile, Wait
from tests.simulation.hooks import (
    FOREIGN,
    HIDDEN,
    OWNED,
    PATHS,
    TENANTS,
    TRIGGERS,
    VALUES,
    Hooks,
    secret,
)
from tests.simulation.world import Killed, Pool, Process, Service, cheap_key

FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else None
NAMELESS = ("answer-without-id", "answer-empty")  # traits of a service that tells no ids
OWN, OLD = "hooks.state.json", "old.state.json"  # the current state, and that of an old checkout
PEER = "(sim.preservica.example)"  # in each message about a call


@dataclass(frozen=True, slots=True)
class Broken:
    """A law that does not hold."""

    law: str
    how: str
    where: str  # which step


class Play:
    """The play of one history."""

    def __init__(self, history: History, folder: Path, *, traces: bool = False) -> None:
        self.history = history
        self.folder = folder
        self.hooks = Hooks.of(history)
        tenants = TENANTS[: history.tenancies]
        self.service = Service(history.traits, tenants, history.lag_additions, history.lag_removals)
        self.pool = type("ShuffledPool", (Pool,), {"chance": random.Random(history.seed)})
        self.disk = Disk()
        self.users: dict[str, set[str]] = {}  # names of runs, by the state that they used
        self.copies: list[str | None] = []
        self.misled: set[str] = set()
        # what the state had before each run in progress that adopts: it writes what it adopts first
        self.adopting: list[tuple[Remembered, ...]] = []
        self.mistaken: set[tuple[str, Place]] = set()  # under which the state was misled
        self.made: dict[str, int] = {}  # ids that hooksync made, numbered
        self.noted = 0  # number of moments that `made` covers
        self.last_held: set[Held] = set()
        # ids that hooksync made, neither late, nor with a 409, nor before a --replace or the loss of
        # the state, nor by a call in flight while its run lock was taken over, nor by an attempt
        # that nobody needed and an apply has closed
        self.in_time: set[str] = set()
        self.holders: list[str] = []  # applies, in the order in which they took the run lock
        self.overtaken: set[str] = set()  # those whose call in flight has ended since
        self.broken: list[Broken] = []
        self.figures = Counter(histories=1)  # how much was played
        self.number = 0  # number of commands so far
        self.traces = traces
        self.trace: list[str] = []
        for tenancy in range(history.tenancies):
            for number in range(history.live):
                self.person(Person("subscribe", tenancy, number + history.seed % 3, number))

    def run(self) -> list[Broken]:
        """Play all steps, then let everything settle. A step that breaks a law ends the play."""
        self.last_held = set(self.service.held())
        for number, step in enumerate(self.history.steps):
            self.figures["steps"] += 1
            self.say(f"step {number}: {step}")
            self.step(step, f"step {number}")
            if self.broken:
                return self.broken
        self._settle()
        return self.broken

    def say(self, text: str) -> None:
        if self.traces:
            self.trace.append(text.replace(str(self.folder), ""))

    def step(self, step: object, where: str) -> None:
        match step:
            case Edit():
                self.hooks.edit(step)
            case Person():
                self.person(step)
            case StateFile():
                self._state_file(step)
            case Wait(seconds):
                self.service.pass_time(seconds)
            case Command():
                self.command(step, where)

    def person(self, person: Person) -> None:
        """Change the tenancy by hand."""
        tenancy = person.tenancy % self.history.tenancies
        tenant, rules = TENANTS[tenancy], self.service.rules
        there = rules.held_by(tenant)
        one = there[person.which % len(there)] if there else None
        match person.kind:
            case "subscribe":
                url = f"{OWNED}/{PATHS[person.which % len(PATHS)]}"
                self._add(tenant, url, person.to, self._somebodys_secret(person.to))
            case "foreign":
                self._add(
                    tenant,
                    FOREIGN[person.which % len(FOREIGN)],
                    person.to,
                    self._somebodys_secret(person.to),
                )
            case "repair":
                self._repair(tenancy, person)
            case "unsubscribe" if one:
                self.service.change(lambda: rules.remove(tenant, one.id))
            case "duplicate" if one and "refuse-duplicates" not in self.history.traits:
                given = one.secret if person.to % 2 else self._somebodys_secret(person.to)
                copy = Subscription(one.url, one.trigger, given, one.include_identifiers)
                self.service.change(lambda: rules.add(tenant, copy))

    def _repair(self, tenancy: int, person: Person) -> None:
        """Create a missing declared subscription by hand, perhaps with a different secret."""
        wanted = self.hooks.declared()[tenancy].wanted
        places = {one.place for one in self.service.held() if one.tenant == TENANTS[tenancy]}
        missing = [one for one in wanted if one.place not in places]
        if missing:
            one = missing[person.which % len(missing)]
            given = one.secret if person.to % 2 else self._somebodys_secret(person.to)
            made = Subscription(one.url, one.trigger, given, one.flag)
            self.service.change(lambda: self.service.rules.add(TENANTS[tenancy], made))

    def _add(self, tenant: str, url: str, to: int, given: str) -> None:
        made = Subscription(url, TRIGGER_NAMES[TRIGGERS[to % len(TRIGGERS)]], given, to % 3 != 0)
        self.service.change(lambda: self.service.rules.add(tenant, made))

    def _somebodys_secret(self, number: int) -> str:
        return secret("somebody", number % VALUES)

    def _state_file(self, step: StateFile) -> None:
        match step.kind:
            case "copy":
                self.copies.append(self.disk.texts.get(OWN))
            case "restore" if self.copies:
                self.disk.put(OWN, self.copies[-1])
                self.in_time.clear()
            case "lose":
                self.disk.put(OWN, None)
                self.in_time.clear()

    # commands

    def command(self, command: Command, where: str, laws: Iterable[Any] = LAWS) -> None:
        """Run a command, and check the laws."""
        if command.verb != "saved":
            self.process(command, where, laws, command.verb)
            return
        plan = str(self.folder / "plan.json")
        Path(plan).unlink(missing_ok=True)
        as_planned = self.hooks.copy()
        self.process(Command("plan", command.flags), where, laws, "plan", out=plan)
        for step in command.between:
            self.step(step, where)
        if not self.broken and os.path.exists(plan):
            as_planned.values, as_planned.unset = dict(self.hooks.values), set(self.hooks.unset)
            self.process(command, where, laws, "apply", saved_plan=plan, hooks=as_planned)

    def process(
        self,
        command: Command,
        where: str,
        laws: Iterable[Any],
        verb: str,
        *,
        hooks: Hooks | None = None,
        **more: Any,
    ) -> None:
        """Run one process of hooksync until it ends or is killed."""
        self.number += 1
        hooks = (hooks or self.hooks).copy()
        flags, is_old = command.flags, "old-checkout" in command.flags
        state = OLD if is_old else OWN
        if is_old:
            self.disk.put(OLD, self.copies[0] if self.copies else self.disk.texts.get(OWN))
        process = Process(
            f"{verb} {self.number}",
            self.service,
            command.mishaps,
            act=lambda act: self.step(act, f"{where}, within another command"),
            receivers=lambda url: {
                one.secret for each in hooks.declared() for one in each.wanted if one.url == url
            },
        )
        targets = hooks.targets() if "target" in flags and not more else ()
        report = self.folder / "report.json"
        shared: dict[str, Any] = {
            "files": ("-",),
            "targets": targets,
            "format": "text" if "text" in flags else "markdown" if "markdown" in flags else "json",
            "state": state,
            "parallelism": 1,
            "timeout": 30.0,
            "shows_kept": "all" in flags,
            **more,
        }
        options: PlanOptions | ApplyOptions
        if verb == "plan":
            options = PlanOptions(**shared, has_detailed_exit_code=True)
        else:
            options = ApplyOptions(
                **shared,
                is_confirmed="reviewed" not in flags,
                replace=tuple(flags[flags.index("replace") + 1 :] if "replace" in flags else ()),
                adopt=("*",) if "adopt" in flags else (),
                lock_timeout=100.0 if where.startswith("settl") else None,
                report=str(report) if {"text", "markdown"} & set(flags) else None,
            )
            report.unlink(missing_ok=True)
        self.users.setdefault(state, set()).add(process.name)
        remembered, earlier = self.remembered(state), self._state(state)
        adopts = "adopt" in flags and verb == "apply"
        self.adopting += [remembered] if adopts else []
        start, before = len(self.service.moments), self.service.held()
        code, crash = self._carry_out(verb, options, process, hooks)
        text, saved = self.disk.texts.get(state), _read(more.get("saved_plan"))
        report, plan = _read(getattr(options, "report", None)), _read(more.get("out"))
        said = "\n".join((*process.out, *process.err))
        if shared["format"] == "json" and said.startswith("{"):
            report = said.partition("\n}\n")[0] + "\n}"
        run = Run(
            name=process.name,
            verb=verb,
            code=code,
            tenancies=hooks.targeted() if targets else hooks.declared(),
            before=before,
            moments=tuple(self.service.moments[start:]),
            result=json.loads(report) if report and code is not None and not crash else None,
            said=said,
            crash=crash,
            written=tuple(filter(None, (text, report, plan))),
            hidden=(*HIDDEN, *self.service.tokens),
            is_interrupted=process.stop.is_set() and not process.meets_a_bug,
            meets_a_bug=process.meets_a_bug,
            fellows=frozenset(self.users[state]) - {process.name},
            can_lose_lock=self.history.is_remote,
            remembered=remembered,
            remembers=None if text is None else self.remembered(state),
            is_reviewed="reviewed" in flags or saved is not None,
            promised=json.loads(saved) if saved else None,
            meant=self._meant(earlier, before, self.service.moments[start:]),
        )
        self._note_made(is_counted=state == OWN and not getattr(options, "replace", ()))
        declared = {(each.tenant, one.place) for each in hooks.declared() for one in each.wanted}
        # if an identity is declared again, the count of two starts again
        self.in_time -= {
            one.id for one in self.service.held() if (one.tenant, one.place) not in declared
        }
        self._learn(run)
        if state == OWN and verb == "apply" and code is not None:
            self._leave_out_needless(run)
        if adopts:
            self.adopting.pop()
        run = replace(
            run,
            made=dict(self.made),
            unproven=self._unproven(OWN) if state == OWN else {},
            misled=frozenset(self.misled),
        )
        self._judge(run, process, where, laws)

    def _carry_out(
        self, verb: str, options: RunOptions, process: Process, hooks: Hooks
    ) -> tuple[int | None, str]:
        """Run a command as the command line does, and return its exit code and traceback.

        The exit code of a killed process is None.
        """
        stdin = io.BytesIO(hooks.text().encode())
        context = Context(hooks.environ(), stdin, process, process.stop, process)
        opening = partial(
            open_run,
            find_store=lambda name, file, context: self._store(name, process),
            make_transport=lambda *_, **__: process,
            make_pool=self.pool,
            derive=cheap_key,
        )
        do: Any = {"plan": plan_apply.plan, "apply": plan_apply.apply}[verb]
        try:
            return int(do(options, context, opening)), ""
        except Killed:
            process.is_dead = True
            return None, ""
        except HooksyncError as error:
            process.message(f"error: {error}")
            return int(error.exit_code), ""
        except MemoryError:  # an internal error: main.py ends a run in this way
            return int(ExitCode.PARTLY_APPLIED if context.begun.is_set() else ExitCode.ERROR), ""
        except Exception:
            return 1, traceback.format_exc()

    def _store(self, name: str, process: Process) -> StateStore:
        if not self.history.is_remote:
            return Store(self.disk, process, name)
        backend = FarBackend(self.disk, process, name)
        return PassiveStore(backend, Context({}, io.BytesIO(), process, process.stop, process))

    def remembered(self, name: str) -> tuple[Remembered, ...]:
        """Return the entries of a state, each with whether its secret is right."""
        state = self._state(name)
        if state is None:
            return ()
        there = {(one.tenant.lower(), one.id): one for one in self.service.held()}
        salts = state.salts_by_id

        def is_right(tenancy: TenancyKey, record: Any) -> bool | None:
            one = there.get((tenancy.tenant, record.id))
            if one is None or is_unconfirmed(record):
                return None
            key = cheap_key((Secret(one.secret), salts[record.salt]))
            return bool(record.is_made_with(key, tenancy))

        return tuple(
            Remembered(
                records.tenant,
                record.id,
                record.address,
                is_right(records.key, record),
                is_unconfirmed(record),
                record.content["include_identifiers"],
                isinstance(record, Attempt),
            )
            for records in state.tenancies
            for record in records.subscriptions
            if record.id
        )

    def _note_made(self, *, is_counted: bool) -> None:
        """Number the ids that hooksync has created, also in a run that is not over."""
        if not is_counted:
            self.in_time.clear()
        for moment in self.service.moments[self.noted :]:
            held = set(moment.held)
            is_in_flight = self._is_in_flight(moment)
            for one in held - self.last_held if moment.by != SOMEBODY_ELSE else ():
                self.made.setdefault(one.id, len(self.made))
                is_told = moment.status != 409 and not moment.is_late
                if is_counted and is_told and not is_in_flight and moment.by in self.users[OWN]:
                    self.in_time.add(one.id)
            self.last_held = held
        self.noted = len(self.service.moments)

    def _is_in_flight(self, moment: Moment) -> bool:
        """Return whether it is the first change by an apply whose run lock was taken over.

        An apply takes the run lock before its first call.
        """
        name = moment.by
        if not name.startswith("apply") or name not in self.users.get(OWN, ()):
            return False
        if name not in self.holders:
            self.holders.append(name)
        is_first = moment.call in CHANGING and name not in self.overtaken
        if name == self.holders[-1] or not is_first:
            return False
        self.overtaken.add(name)
        return True

    def _meant(
        self, state: State | None, before: Iterable[Held], moments: Iterable[Moment]
    ) -> dict[str, str]:
        """Return the ids that may belong to an attempt of a state, each with its address.

        These are live before a run, or at one of its moments.
        """
        meant = {}
        live = {*before, *(one for moment in moments for one in moment.held)}
        for records in state.tenancies if state else ():
            for attempt in records.attempts:
                for one in live:
                    if records.tenant != one.tenant.lower() or one.id in attempt.seen:
                        continue
                    place = SubscriptionKey(normal_url(one.url), Trigger(one.trigger))
                    if attempt.identity == identity_digest(state.url_salt, place):
                        meant[one.id] = attempt.address
        return meant

    def _leave_out_needless(self, run: Run) -> None:
        """Leave out of `in_time` what nobody needed, so that an apply has closed its attempt.

        Its list showed a different subscription of the identity, which is as declared and which the
        state proved before. What appears later is foreign.
        """
        proven = {entry.id for entry in run.remembered if not entry.is_unconfirmed}
        served = set()
        for declared in run.tenancies:
            last = run.last_list(declared.tenant)
            for one in (last.shown or ()) if last else ():
                wanted = declared.find(one.place)
                is_right = wanted and (one.secret, one.flag) == (wanted.secret, wanted.flag)
                if one.id in proven and is_right:
                    served.add((one.tenant, one.place))
        recorded = {entry.id for entry in run.remembers or ()}
        recorded |= self._meant(self._state(OWN), run.after, ()).keys()
        for one in run.after:
            if (one.tenant, one.place) in served and one.id not in recorded:
                self.in_time.discard(one.id)

    def _unproven(self, name: str) -> Counter[tuple[str, Place]]:
        """Count the live subscriptions that hooksync made in time, and that are no entries and newer
        than those.
        """
        state = self._state(name)
        entries = {
            (records.tenant, entry.id)
            for records in (state.tenancies if state else ())
            for entry in records.entries
        }
        newest = Counter[tuple[str, Place]]()
        for one in self.service.held():
            if (one.tenant.lower(), one.id) in entries:
                number = self.made.get(one.id, -1)
                newest[one.tenant, one.place] = max(newest[one.tenant, one.place], number)
        counts = Counter[tuple[str, Place]]()
        for one in self.service.held():
            place = (one.tenant, one.place)
            is_newer = self.made.get(one.id, -1) > newest.get(place, -1)
            if one.id in self.in_time and is_newer and place not in self.mistaken:
                counts[place] += 1
        return counts

    def _state(self, name: str) -> State | None:
        text = self.disk.texts.get(name)
        return None if text is None else _parsed(text)

    def _learn(self, run: Run) -> None:
        """Note the ids about which --adopt or a lie of the service may have misled the state."""
        for moment, made, _ in run.changes():
            if moment.named and moment.named not in {one.id for one in made}:
                self.misled.add(moment.named)
        self.misled |= _taken_for_own(run)
        for remembered in self.adopting:
            earlier = {entry.id: entry for entry in remembered}
            flags = {one.id: one.flag for one in run.after}
            for entry in run.remembers or ():
                is_wrong = entry.is_right is False or flags.get(entry.id, entry.flag) != entry.flag
                if is_wrong and earlier.get(entry.id) != entry:
                    self.misled.add(entry.id)
        # an attempt may take what a person made, if no list showed it before
        mistaken = self.misled | (run.meant.keys() - self.made.keys())
        for one in (*run.before, *run.after):
            if one.id in mistaken:
                self.mistaken.add((one.tenant, one.place))

    def _judge(self, run: Run, process: Process, where: str, laws: Iterable[Any]) -> None:
        self.figures["commands"] += 1
        self.figures["calls"] += process.counts["any"]
        self.figures["faults"] += process.faults
        if run.code is None:
            self.figures["kills"] += 1
        if self.traces:
            self.say(f"  {run.name}: exit {run.code}")
            for line, several in groupby(process.trace):
                number = len(list(several))
                self.say(f"    {line}{f' ({number} times)' if number > 1 else ''}")
            for line in process.err:
                if PEER not in line:
                    self.say(f"    {line.partition(chr(10))[0]}")
            for one in run.after:
                self.say(
                    f"      {one.tenant} {one.id[:8]} {one.place} {one.flag} {one.secret[7:16]}"
                )
            for one in run.remembers or ():
                self.say(
                    f"      state: {one.id[:8]} {one.address} right={one.is_right}"
                    f" unconfirmed={one.is_unconfirmed}"
                )
        self.broken += (
            Broken(name, how, f"{where}: {run.name}") for name, how in broken_by(run, laws)
        )

    # the end

    def _settle(self) -> None:
        """Stop all faults. Then one apply must settle everything, and later commands must find
        nothing to do.
        """
        self.service.carry_out_all_that_is_late()
        self.hooks.unset.clear()
        self.service.pass_time(self.history.rest)
        self.hooks.settles = True
        lag = max(self.history.lag_additions, self.history.lag_removals)
        if {"refuse-duplicates", *NAMELESS}.intersection(self.history.traits):
            # A duplicate stays while the declared subscription is missing, and the service may
            # refuse the declared one because of the duplicate. Only the second apply creates it.
            # Without ids, an attempt with a different secret may have made what a list shows.
            flags = ("reviewed", *self._replacing())
            self.command(Command("apply", flags), "settling, before", LAWS)
            self.service.pass_time(lag + 1)
        for verb, laws in (("apply", SETTLED), ("plan", IDLE), ("apply", IDLE)):
            if not self.broken:
                where = f"{'settling' if laws is SETTLED else 'settled'}, {verb}"
                self.say(where)
                flags = ("reviewed", *self._replacing()) if laws is SETTLED else ()
                self.command(Command(verb, flags), where, (*LAWS, *laws))  # type: ignore[arg-type]
            if verb == "plan":  # the last apply runs once the list shows everything
                self.service.pass_time(lag + 1)

    def _replacing(self) -> tuple[str, ...]:
        """Return --replace with all addresses: an apply alone may refuse any of them."""
        addresses = {one.address for each in self.hooks.declared() for one in each.wanted}
        return ("replace", *sorted(addresses)) if addresses else ()


def is_unconfirmed(record: SubscriptionRecord) -> bool:
    """Return whether nothing proves the secret of a record."""
    return isinstance(record, Attempt) and not record.is_proven


def _taken_for_own(run: Run) -> set[str]:
    """Return the ids that a run takes for its own although somebody else made them.

    The design allows this if a success response had no id and the next list showed one new
    subscription with the same URL and trigger.
    """
    made_here = set()
    nameless = set()
    seen = [*run.after]  # also the removed ones, and those that a lagging list still shows
    for moment, made, removed in run.changes():
        seen += (*made, *removed, *(moment.shown or ()))
        if moment.by != run.name:
            continue
        made_here |= {one.id for one in made}
        if moment.asked and moment.status == 200 and moment.named is None:
            nameless.add((moment.tenant, moment.asked))
    taken = {outcome(step)["new_id"] for one in run.told for step in one["steps"]} - {None}
    known = {entry.id for entry in run.remembered}
    for entry in run.remembers or ():  # a killed run has no report
        if not entry.is_unconfirmed and entry.id not in known:
            taken.add(entry.id)
    of_others = {one.id for one in seen if (one.tenant, one.place) in nameless} - made_here
    return taken & of_others


@lru_cache(maxsize=64)
def _parsed(text: str) -> State:
    return read_state(text, "the state")


def _read(path: str | None) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8") if path else None
    except FileNotFoundError:
        return None


def play(history: History, *, traces: bool = False) -> Play:
    """Play a history in a temporary folder."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        played = Play(history, Path(name), traces=traces)
        played.run()
    return played
