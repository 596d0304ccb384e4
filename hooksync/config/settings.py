"""What a tenancy says besides its subscriptions: plain data, which fits the schema -> Settings. Pure."""

from __future__ import annotations

from typing import Any, cast

from hooksync.config.declarations import CredentialsDeclaration, Settings, Written
from hooksync.config.reader import FileReader
from hooksync.config.rules import server_problem
from hooksync.config.yaml_nodes import YamlList, YamlMap
from hooksync.core.model import UnsubscribeLimit
from hooksync.core.urls import outline, prefix_fault


def has_settings(fields: YamlMap) -> bool:
    """Tell whether a tenancy says anything here besides its subscriptions."""
    return any(key != "subscriptions" and not key.startswith("x-") for key in fields)


def read_settings(reading: FileReader, fields: YamlMap) -> Settings:
    """Read the settings of a tenancy. What is left out gets its default."""
    given: dict[str, Any] = {key: fields[key] for key in ("allow_http", "replacement", "probe") if key in fields}
    if "credentials" in fields:
        given["credentials"] = _credentials(reading, cast(YamlMap, fields["credentials"]))
    if "limits" in fields:
        given |= _limit(cast(YamlMap, fields["limits"]))
    settings = Settings(
        server=reading.text(fields, "server"),
        tenant=reading.text(fields, "tenant"),
        owns=_owns(reading, fields),
        **given,
    )
    _check_server(reading, settings)
    return settings


def _credentials(reading: FileReader, fields: YamlMap) -> CredentialsDeclaration:
    method = {"method": cast(Any, fields["method"])} if "method" in fields else {}
    return CredentialsDeclaration(
        username=reading.reference(fields, "username"),
        password=reading.reference(fields, "password"),
        totp=reading.reference(fields, "totp"),
        **method,
    )


def _limit(fields: YamlMap) -> dict[str, UnsubscribeLimit]:
    match fields.get("unsubscribe"):
        case str(share):
            return {"limit": UnsubscribeLimit(percent=float(share.removesuffix("%")))}
        case int(number):
            return {"limit": UnsubscribeLimit(number=number)}
    return {}


def _owns(reading: FileReader, fields: YamlMap) -> tuple[str, ...] | None:
    prefixes = fields.get("owns", "all")
    if not isinstance(prefixes, YamlList):
        return None
    sound = []
    for index, prefix in enumerate(cast(list[str], prefixes)):
        if fault := prefix_fault(prefix):
            fix = "write a URL such as https://fn.example.net/api"
            reading.note(f"this prefix {fault}", fix, reading.at(prefixes.item_mark(index)))
        else:
            sound.append(prefix)
    return tuple(sound) if len(sound) == len(prefixes) else None  # none of the URLs is blamed for a faulty prefix


def _check_server(reading: FileReader, settings: Settings) -> None:
    server: Written | None = settings.server
    if server:
        text = outline(server.template)
        reading.add(server_problem(text, "the server", server.location, allow_http=settings.allow_http))
