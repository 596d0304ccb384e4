"""The hooks file of a history and its environment: edits, text and declared subscriptions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from hooksync.core.model import TRIGGER_NAMES
from tests.laws import Declared, Wanted
from tests.simulation.history import Edit, History
from tests.simulation.world import PASSWORD, SERVER, USERNAME, spelt

OWNED = "https://hooks.example.org"
FOREIGN = ("https://vendor.example/x", "https://hooks.example.org.evil.example/a")
SPELT_OTHERWISE = "https://Hooks.Example.org:443"
PATHS = ("a", "b", "c", "d", "e")
TRIGGERS = ("INDEXED", "MOVED")
REFERENCES = ("FIRST", "SECOND")
VALUES = 5  # so many for each reference
TENANTS = ("ONE", "TWO")
TARGETED = "/INDEXED"  # the end of the addresses that a target selects


@dataclass(frozen=True, slots=True)
class Hook:
    """A subscription as the file declares it."""

    name: str
    path: str
    triggers: tuple[str, ...]
    reference: str
    flag: bool


def secret(reference: str, number: int) -> str:
    """Return one of the values of a reference."""
    return f"canary-{reference.lower()}-{number}-of-a-receiver-0123"


HIDDEN = (
    PASSWORD,
    *(
        secret(reference, number)
        for reference in (*REFERENCES, "somebody")
        for number in range(VALUES)
    ),
)


@dataclass(slots=True)
class Hooks:
    """The hooks file, and the number of the value that each reference has."""

    history: History
    hooks: list[list[Hook]] = field(default_factory=list)  # by tenancy
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFERENCES, 0))
    former: list[list[list[Hook]]] = field(default_factory=list)  # earlier versions of the file
    names: int = 0  # number of names given so far
    edited: Hook | None = None  # its reference becomes that of its receiver
    unset: set[str] = field(default_factory=set)  # references without a value
    settles: bool = False  # the user has set what this service needs

    @classmethod
    def of(cls, history: History) -> Hooks:
        hooks = cls(history)
        for tenancy in range(history.tenancies):
            hooks.hooks.append([])
            for number in range(history.declared):
                hooks._add(tenancy, number, history.seed + number)
        hooks._unify()
        return hooks

    def edit(self, edit: Edit) -> None:
        """Apply an edit. An impossible edit changes nothing."""
        tenancy = edit.tenancy % len(self.hooks)
        before = [list(each) for each in self.hooks]
        there = self.hooks[tenancy]
        which = edit.which % len(there) if there else 0
        match edit.kind:
            case "rotate":
                reference = REFERENCES[edit.which % len(REFERENCES)]
                self.values[reference] = (self.values[reference] + 1) % VALUES
                self.unset.discard(reference)
                return
            case "unset":
                self.unset.add(REFERENCES[edit.which % len(REFERENCES)])
                return
            case "revert" if self.former:
                self.hooks = self.former.pop()
                return
            case "add":
                self._add(tenancy, edit.which, edit.to)
            case "remove" if len(there) > 1:
                del there[which]
            case _ if there:
                self._change(tenancy, which, edit)
        self._unify()
        if self.hooks != before:
            self.former.append(before)

    def _unify(self) -> None:
        """Give each receiver one secret: the reference of the edited hook, or of the first hook."""
        references: dict[str, str] = {}
        if self.edited:
            references[self.edited.path] = self.edited.reference
        for there in self.hooks:
            for number, hook in enumerate(there):
                reference = references.setdefault(hook.path, hook.reference)
                there[number] = replace(hook, reference=reference)
        self.edited = None

    def _change(self, tenancy: int, which: int, edit: Edit) -> None:
        there = self.hooks[tenancy]
        one = there[which]
        match edit.kind:
            case "move":
                self._put(tenancy, which, replace(one, path=PATHS[edit.to % len(PATHS)]))
            case "swap":
                other = edit.to % len(there)
                first = replace(one, path=there[other].path, reference=there[other].reference)
                second = replace(there[other], path=one.path, reference=one.reference)
                trial = list(there)
                trial[which], trial[other] = first, second
                if which != other and _is_valid(trial):
                    self.hooks[tenancy] = trial
            case "rename":
                self.names += 1
                there[which] = replace(one, name=f"n{self.names}")
            case "flag":
                there[which] = replace(one, flag=not one.flag)
            case "reference":
                self.edited = replace(one, reference=REFERENCES[edit.to % len(REFERENCES)])

    def _put(self, tenancy: int, which: int, hook: Hook) -> None:
        trial = list(self.hooks[tenancy])
        trial[which] = hook
        if _is_valid(trial):
            self.hooks[tenancy] = trial

    def _add(self, tenancy: int, which: int, to: int) -> None:
        triggers = (TRIGGERS, TRIGGERS[:1], TRIGGERS[1:])[to % 3]
        self.names += 1
        hook = Hook(
            f"n{self.names}",
            PATHS[which % len(PATHS)],
            triggers,
            REFERENCES[to // 3 % 2],
            to % 4 != 1,
        )
        if _is_valid([*self.hooks[tenancy], hook]):
            self.hooks[tenancy].append(hook)

    def copy(self) -> Hooks:
        hooks = [list(each) for each in self.hooks]
        return Hooks(
            self.history,
            hooks,
            dict(self.values),
            names=self.names,
            unset=set(self.unset),
            settles=self.settles,
        )

    def _removes_first(self) -> bool:
        needs_it = self.settles and "refuse-duplicates" in self.history.traits
        return self.history.remove_first or needs_it

    def text(self) -> str:
        """Return the file as YAML, with one line of JSON for each tenancy."""
        lines = ["version: 1", "tenancies:"]
        for number, hooks in enumerate(self.hooks):
            settings = {
                "server": SERVER,
                "tenant": TENANTS[number],
                "owns": [OWNED] if self.history.owns == "prefixes" else self.history.owns,
                "limits": {"unsubscribe": "100%"},
                "replacement": "remove-first" if self._removes_first() else "create-first",
                "probe": "auto" if self.history.probes else "never",
                "subscriptions": {hook.name: self._fields(hook) for hook in hooks},
            }
            lines.append(f"  {TENANTS[number].lower()}: {json.dumps(settings)}")
        return "\n".join(lines) + "\n"

    def _fields(self, hook: Hook) -> dict[str, object]:
        return {
            "url": f"{self._server()}/{hook.path}",
            "triggers": list(hook.triggers),
            "secret": {"env": hook.reference},
            "include_identifiers": hook.flag,
        }

    def _server(self) -> str:
        return SPELT_OTHERWISE if "normalise-urls" in self.history.traits else OWNED

    def environ(self) -> dict[str, str]:
        return {
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": PASSWORD,
            "HOOKSYNC_LIST_WAIT": "400" if self.settles else str(self.history.list_wait),
            **{
                reference: self.value(reference)
                for reference in REFERENCES
                if reference not in self.unset
            },
        }

    def value(self, reference: str) -> str:
        return secret(reference, self.values[reference])

    def targets(self) -> tuple[str, ...]:
        """Return a glob for the subscriptions of one trigger in the first tenancy, if any."""
        found = [one for one in self.declared()[0].wanted if one.address.endswith(TARGETED)]
        return (f"{TENANTS[0].lower()}/*{TARGETED}",) if found else ()

    def targeted(self) -> tuple[Declared, ...]:
        """Return what that glob selects. A run with the glob changes nothing else."""
        one = self.declared()[0]
        return (
            replace(
                one,
                is_targeted=True,
                wanted=tuple(it for it in one.wanted if it.address.endswith(TARGETED)),
            ),
        )

    def declared(self) -> tuple[Declared, ...]:
        """Return what the file declares, in the form that the laws need."""
        return tuple(
            Declared(
                name=TENANTS[number].lower(),
                tenant=TENANTS[number],
                wanted=tuple(self._wanted(number)),
                owns=frozenset([OWNED]) if self.history.owns == "prefixes" else self.history.owns,
                removes_first=self._removes_first(),
                tells_flags="minimal-list" not in self.history.traits,
            )
            for number in range(len(self.hooks))
        )

    def _wanted(self, number: int) -> list[Wanted]:
        return [
            Wanted(
                f"{TENANTS[number].lower()}/{hook.name}/{trigger}",
                spelt(f"{OWNED}/{hook.path}"),
                TRIGGER_NAMES[trigger],
                hook.flag,
                self.value(hook.reference),
            )
            for hook in self.hooks[number]
            for trigger in hook.triggers
        ]


def _is_valid(hooks: list[Hook]) -> bool:
    """Return whether no two hooks have the same path and trigger."""
    places = [(hook.path, trigger) for hook in hooks for trigger in hook.triggers]
    return len(set(places)) == len(places)
