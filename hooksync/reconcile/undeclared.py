"""Find the tenancies that no file declares: those of the state, and those of a merge base. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hooksync.config.declarations import Declarations
from hooksync.core.errors import Problem, pluralised
from hooksync.core.model import TenancyKey, TenancyPlaces
from hooksync.core.run_flags import RunFlags
from hooksync.reconcile.plan import TenancyPlans, UndeclaredTenancy
from hooksync.reconcile.run import Fetched
from hooksync.state.model import State

_DISABLE_FIRST = (
    "declare it again with `enabled: false`, and apply that before you delete it; `owns: none`"
    " hands it over, and removes nothing"
)


def in_state_alone(
    state: State, plans: TenancyPlans, flags: RunFlags
) -> Iterator[UndeclaredTenancy]:
    """Yield the tenancies that only the state has. `plans`: of all that is declared."""
    keys = {plan.key for plan in plans}
    # an unread tenancy may lack its tenant, which the log-in reports: only the server counts
    unread = {plan.server for plan in plans if plan.live_count is None}
    for records in state.tenancies:
        key = records.key
        if not records.entries or key in keys or key.server in unread:
            continue
        names = sorted(records.names)
        tenant = ("--tenant", key.tenant) if key.tenant else ()
        globs = [f"{name}/*" for name in names]
        forget = flags.command("state forget", *globs, "--server", key.server, *tenant)
        number = len(records.entries)
        name = ", ".join(names)
        what = f"no file of this run declares {key}, where the state has"
        what += f" {pluralised(number, 'subscription')} of {name}"
        fix = f"declare it again; or, to stop managing it, `{forget}`"
        yield UndeclaredTenancy(name, str(key), Problem(what, fix), number)


def no_longer_declared(
    former: Declarations, fetched: Fetched, places: TenancyPlaces, state: State
) -> Iterator[UndeclaredTenancy]:
    """Yield the tenancies that a merge base declares, and no file does. `places`: of what files do.

    What has a different name, or the same one in a different spelling of its server and tenant, is
    still declared. `fetched`: those of `former` that could be read.
    """
    for declaration in former:
        name = declaration.name
        item = fetched.get(name)
        key = item.tenancy.key if item else TenancyKey("", "")
        live = None if item is None or item.live is None else len(item.live)
        place = places.get(name)
        has_moved = place is not None and live is not None and place.is_elsewhere(key)
        if key in places.values() or (name in places and not has_moved):
            continue
        number = 0
        for records in state.tenancies:
            if records.key == key or (name not in places and name in records.names):
                number += len(records.entries)
        is_refused = declaration.enabled and name not in places and number > 0
        subject = "subscriptions, whose number is not known,"
        if live is not None:
            subject = f"{pluralised(live, 'subscription')} of {key}"
        what = f"no file declares {name} any more: {subject} stay live and unmanaged"
        problem = Problem(what, _DISABLE_FIRST, declaration.location)
        yield UndeclaredTenancy(name, str(key), problem, number, live, is_refused)
