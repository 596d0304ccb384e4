"""A file with misfits -> what is left of it, so that the rest is checked in the same run. Pure.

Nothing is reported for want of what was left out: stand-ins take its place. Such a file is refused in the end, so no
stand-in is ever acted on.
"""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.config.misfits import MOST_MISFITS, Misfit
from hooksync.config.places import Path, split_path
from hooksync.config.yaml_nodes import YamlList, YamlMap
from hooksync.core.model import PlainFields

_APART = frozenset(  # nothing depends on these
    {"version", "limits", "replacement", "probe", *PlainFields.__struct_fields__}
)
_FRAME = ((), ("tenancies",), ("subscriptions",))  # the fields of paths that lead to what holds tenancies and the like
_SUBSCRIPTION_DEPTH = len(("tenancies", "NAME", "subscriptions", "NAME"))
_NOWHERE = (0, 0, 0, 0)


def salvage(data: YamlMap, misfits: Sequence[Misfit]) -> YamlMap:
    """Give a copy without the fields that do not fit; an empty one where not all of them are known."""
    if len(misfits) >= MOST_MISFITS:
        return YamlMap()
    cut = [(misfit, *split_path(misfit.path)) for misfit in misfits]
    dropped = {(*holder, fields[0]) for _, holder, fields in cut if fields}
    wanting = {holder for misfit, holder, fields in cut if not _is_apart(misfit, fields)}
    sound = _copy(data, (), dropped, wanting)
    if () in wanting and "defaults" not in sound:  # what is wrong at the top may have been meant for defaults
        sound.add("defaults", _with_stand_ins(YamlMap()), _NOWHERE)
    return sound


def hides_triggers(misfits: Sequence[Misfit]) -> bool:
    """Tell whether `extra_triggers` may be among what does not fit."""
    cut = ((misfit, *split_path(misfit.path)) for misfit in misfits)
    return len(misfits) >= MOST_MISFITS or any(
        holder == () and not _is_apart(misfit, fields) for misfit, holder, fields in cut
    )


def _is_apart(misfit: Misfit, fields: tuple[str, ...]) -> bool:
    """Tell whether all else can be judged as if the field were not there."""
    return misfit.is_apart or (bool(fields) and fields[0] in _APART)


def _copy(node: YamlMap, path: Path, dropped: set[Path], wanting: set[Path]) -> YamlMap:
    copy = YamlMap()
    for key, value in node.items():
        below = (*path, key)
        if below in dropped:
            continue
        if split_path(below)[1] not in _FRAME:
            copy.add(key, value, node.place(key))
        elif isinstance(value, YamlMap):
            copy.add(key, _copy(value, below, dropped, wanting), node.place(key))
    may_lack = path == ("defaults",) or len(path) == _SUBSCRIPTION_DEPTH
    return _with_stand_ins(copy) if may_lack and path in wanting else copy


def _with_stand_ins(fields: YamlMap) -> YamlMap:
    """Make up what the fields of a subscription, or of defaults, may have said."""
    if "secret" not in fields:
        secret = YamlMap()
        secret.add("env", "", _NOWHERE)
        fields.add("secret", secret, _NOWHERE)
    if fields.keys().isdisjoint(("trigger", "triggers")):
        fields.add("triggers", YamlList(), _NOWHERE)
    return fields
