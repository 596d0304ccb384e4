"""Find the tenancies that no file declares: those of the state, and those of a merge base. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hooksync.config.declarations import Declarations
from hooksync.core.errors import Problem, pluralised
from hooksync.core.flags import CommandOptions
from hooksync.core.model import TenancyPlaces
from hooksync.reconcile.plan import TenancyPlans, UndeclaredTenancy
from hooksync.state.model import State

_GIVEN_UP = "nothing is to do if it was given up, or never applied; otherwise check `--state`"
_DISABLE_FIRST = (
    "declare it again with `enabled: false`, and apply that before you delete it; `owns: none`"
    " hands it over, and removes nothing"
)


def in_state_alone(
    state: State, plans: TenancyPlans, flags: CommandOptions
) -> Iterator[UndeclaredTenancy]:
    """Yield the tenancies that only the state has. `plans`: of all that is declared."""
    for records in state.tenancies:
        key = records.key
        # an unread tenancy may lack its tenant, which the log-in reports
        if not (records.entries and all(plan.key.is_elsewhere(key) for plan in plans)):
            continue
        names = sorted(records.names)
        words = [*(f"{name}/*" for name in names), "--server", key.server]
        if key.tenant:
            words += ["--tenant", key.tenant]
        fix = (
            f"declare it again; or, to stop managing it, `{flags.command('state forget', *words)}`"
        )
        name = ", ".join(names)
        number = len(records.entries)
        what = f"no file of this run declares {key}, where the state has"
        what += f" {pluralised(number, 'subscription')} of {name}"
        yield UndeclaredTenancy(name, number, Problem(what, fix))


def no_longer_declared(
    former: Declarations, former_places: TenancyPlaces, places: TenancyPlaces, state: State
) -> Iterator[UndeclaredTenancy]:
    """Yield the tenancies that a merge base declares, and no file does.

    `places`: of what files declare. What has only a different name, or a different spelling of its
    server and tenant, is still declared.
    """
    for declaration in former:
        name = declaration.name
        key = former_places[name]
        place = places.get(name)
        has_moved = key and key.tenant and place and place.is_elsewhere(key)
        if key in places.values() or (name in places and not has_moved):
            continue
        number = 0
        for records in state.tenancies:
            if records.key == key or (name not in places and name in records.names):
                number += len(records.entries)
        what = f"no file declares {name} any more: {pluralised(number, 'subscription')} of the"
        what += " state stay live and unmanaged"
        is_refused = declaration.enabled and name not in places and number > 0
        fix = _DISABLE_FIRST if number else _GIVEN_UP
        problem = Problem(what, fix, declaration.location)
        yield UndeclaredTenancy(name, number, problem, is_refused)
