"""Does plain data fit the schema of hooks files? Checked by hand, because that takes a microsecond a field.

Pure. `schemas/hooks.schema.json` is the truth. Only a yes counts here: what these checks let through, the schema
accepts, and a property test holds the two together. After a no, `misfits` asks jsonschema what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Check = Callable[[object], bool]


def certainly_fits(data: object) -> bool:
    """Tell whether the schema is sure to accept the data."""
    return isinstance(data, dict) and "version" in data and not data.keys().isdisjoint(_CONTENT) and _top(data)


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _boolean(value: object) -> bool:
    return value is True or value is False


def _matching(pattern: str) -> Check:
    fullmatch = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and fullmatch(value) is not None


def _one_of(*choices: str) -> Check:
    return lambda value: isinstance(value, str) and value in choices


def _list_of(item: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(item, value))


def _map_of(item: Check) -> Check:
    """Check a mapping from names to items."""
    return lambda value: isinstance(value, dict) and all(map(_name, value)) and all(map(item, value.values()))


def _fields(checks: dict[str, Check], *, allow_x: bool) -> Check:
    """Check a mapping whose keys are known, each with a check of its own."""
    find = checks.get

    def fits(value: object) -> bool:
        if not isinstance(value, dict):
            return False
        for key, held in value.items():
            check = find(key)
            if check is None:
                if not (allow_x and isinstance(key, str) and key.startswith("x-")):
                    return False
            elif not check(held):
                return False
        return True

    return fits


def _version(value: object) -> bool:
    return type(value) is int and value == 1


def _unsubscribe(value: object) -> bool:
    return _share(value) or (type(value) is int and value >= 0)


def _owns(value: object) -> bool:
    return value == "all" or (_prefixes(value) and value != [])


def _triggers(value: object) -> bool:
    return _trigger_names(value) and value != []


def _reference(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and _reference_fields(value)


def _subscription(value: object) -> bool:
    return _subscription_fields(value) and isinstance(value, dict) and "url" in value and _has_one_way(value)


def _defaults(value: object) -> bool:
    return _default_fields(value) and isinstance(value, dict) and _has_one_way(value)


def _has_one_way(value: dict[str, object]) -> bool:
    return not ("trigger" in value and "triggers" in value)


def _tenancies(value: object) -> bool:
    return _tenancy_map(value) and value != {}


_CONTENT = ("tenancies", "extra_triggers")  # a file has one of them, or both

_name = _matching("[A-Za-z0-9_-]+")
_line = _matching("[^\x00-\x1f\x7f]+")
_share = _matching(r"(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]+)?)%")
_trigger = _matching("[A-Za-z][A-Za-z0-9_]*")
_trigger_names = _list_of(_trigger)
_prefixes = _list_of(_text)

_reference_fields = _fields({"env": _matching("[A-Za-z_][A-Za-z0-9_]*"), "file": _line}, allow_x=False)
_DEFAULTS: dict[str, Check] = {
    "trigger": _trigger,
    "triggers": _triggers,
    "secret": _reference,
    "include_identifiers": _boolean,
}
_default_fields = _fields(_DEFAULTS, allow_x=True)
_subscription_fields = _fields({"url": _text, **_DEFAULTS}, allow_x=True)
_credentials = _fields(
    {
        "username": _reference,
        "password": _reference,
        "totp": _reference,
        "method": _one_of("password", "external"),
    },
    allow_x=False,
)
_tenancy = _fields(
    {
        "server": _text,
        "tenant": _line,
        "allow_http": _boolean,
        "credentials": _credentials,
        "owns": _owns,
        "limits": _fields({"unsubscribe": _unsubscribe}, allow_x=False),
        "replacement": _one_of("create-first", "remove-first"),
        "probe": _one_of("auto", "require", "never"),
        "subscriptions": _map_of(_subscription),
    },
    allow_x=True,
)
_tenancy_map = _map_of(_tenancy)
_top = _fields(
    {
        "version": _version,
        "defaults": _defaults,
        "tenancies": _tenancies,
        "extra_triggers": _list_of(_trigger),
    },
    allow_x=True,
)
