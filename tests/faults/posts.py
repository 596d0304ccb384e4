"""How many POSTs a cell of the fault matrix may make: no more than are needed, and no fewer."""

from __future__ import annotations

from hooksync.sandbox.faults import Fault
from tests.faults.cells import Cell
from tests.faults.table import AFTER, WAIT, After, Way

REPEATS = 4  # after the first try, where the service asks for patience


def expected_posts(cell: Cell) -> int | None:
    """Count the POSTs of an apply whose subscribes alone go wrong, in one way; None for any other."""
    if cell.states or len(cell.specs) != 1 or cell.faults[0].call != "subscribe":
        return None
    if cell.way.refuses_duplicates:
        return None  # which POST meets the fault depends on what the service said of those before
    return cell.way.makes + _more(AFTER[cell.row], cell.faults[0], cell.way)


def _more(after: After, fault: Fault, way: Way) -> int:
    """Count the POSTs beyond those of an apply without faults."""
    is_for_ever, times = fault.times is None, fault.times or 0
    if after == "found" and way.additions > WAIT:  # the list shows it only when nobody waits any more
        after = "again"
    match after:
        case "found" | "believed" | "refused":
            return 0
        case "again":
            return way.makes if is_for_ever else times
        case "repeated":  # for ever: once one has waited for nothing, the others try once
            return REPEATS if is_for_ever else times
        case "renewed":  # a second refusal of the same call is the last
            return way.makes if is_for_ever else 1
        case "expired":  # as often as a token ends, for the next one as well
            return way.makes if is_for_ever else times
        case "conflict":  # only a resubscribe has an old one that may be in the way, and only once
            subscribes = way.makes - way.resubscribes
            if way.replacement == "remove-first":
                return 0
            return way.resubscribes if is_for_ever else int(fault.skip >= subscribes)
