"""A file with misfits -> what is left of it, so that the rest is checked in the same run. Pure.

Nothing is reported for want of what was left out: stand-ins take its place. A file with misfits is refused in the end,
so no stand-in is ever acted on.
"""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.misfits import Misfit
from hooksync.places import Path, split_path
from hooksync.yaml_nodes import YamlList, YamlMap

_APART = frozenset({"version", "include_identifiers", "limits", "replacement", "probe"})  # nothing depends on these
_DEEPEST = len(("tenancies", "NAME", "subscriptions", "NAME"))


def salvage(data: YamlMap, misfits: Sequence[Misfit]) -> YamlMap:
    """Give a copy without the fields that do not fit."""
    dropped: set[Path] = set()
    wanting: set[Path] = set()  # mappings that may lack what was left out
    for misfit in misfits:
        holder, fields = split_path(misfit.path)
        dropped.add((*holder, *fields[:1]) if fields else (*holder, _NOT_A_MAPPING))
        if fields and not _is_apart(misfit):
            wanting.add(holder)
    return _copy(data, (), dropped, wanting)


def hides_triggers(misfits: Sequence[Misfit]) -> bool:
    """Tell whether `extra_triggers` may be among what does not fit."""
    return any(split_path(misfit.path)[0] == () and not _is_apart(misfit) for misfit in misfits)


def _is_apart(misfit: Misfit) -> bool:
    _, fields = split_path(misfit.path)
    return misfit.is_apart or fields[:1] == ("",) or (bool(fields) and fields[0] in _APART)
