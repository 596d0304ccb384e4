"""Paths through a hooks file: which part of the format they lead to, and where that is written. Pure."""

from __future__ import annotations

from hooksync.config.yaml_nodes import Mark, YamlList, YamlMap

Path = tuple[str | int, ...]


def split_path(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Cut a path into that of the top level, defaults, tenancy or subscription, and the fields below; indexes dropped.

    E.g. ("tenancies", "prod", "limits", "unsubscribe") -> ("tenancies", "prod"), ("limits", "unsubscribe").
    """
    depth = 0
    if path[:1] == ("defaults",):
        depth = 1
    elif path[:1] == ("tenancies",) and len(path) > 1:
        depth = 4 if path[2:3] == ("subscriptions",) and len(path) > 3 else 2
    return path[:depth], tuple(step for step in path[depth:] if isinstance(step, str))


def mark_at(data: YamlMap, path: Path, *, of_key: bool = False) -> Mark:
    """Say where the value at the end of a path is written, or the key that it stands under."""
    node: object = data
    mark = (1, 1)
    for step in path:
        if isinstance(node, YamlMap) and isinstance(step, str):
            mark = node.key_mark(step) if of_key else node.value_mark(step)
            node = node[step]
        elif isinstance(node, YamlList) and isinstance(step, int):
            mark = node.item_mark(step)
            node = node[step]
    return mark
