"""Keep the subscriptions of a sandbox in a JSON file between two runs. Touches the disk, nothing else.

The file holds the secrets of the subscriptions, because events are signed with them: it is made with mode 0600, and
is as confidential as they are. Accounts and tokens are not in it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hooksync.sandbox.messages import SandboxError
from hooksync.sandbox.tenancies import Holdings, Subscription

_FORMAT = "hooksync.sandbox/1"


def load(path: Path) -> Holdings:
    """Read what the tenants held; nothing where there is no file. Raises `SandboxError` for one that cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"cannot read the state file {path}: {error}") from error
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        return {
            tenant: tuple(_read_subscription(entry) for entry in entries)
            for tenant, entries in document["tenants"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # the text of an error may quote the file, and so a secret: only its kind is told
        raise SandboxError(
            f"the state file {path} is not one that a sandbox wrote ({type(error).__name__}); "
            "remove it to start empty, or name another"
        ) from None


def save(path: Path, holdings: Holdings) -> None:
    """Write what the tenants hold: whole or not at all, readable by its owner alone. Raises `SandboxError`."""
    tenants = {tenant: [_written(each) for each in held] for tenant, held in holdings.items()}
    text = json.dumps({"format": _FORMAT, "tenants": tenants}, indent=1, sort_keys=True)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise SandboxError(f"cannot write the state file {path}: {error}") from error


def _written(subscription: Subscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "url": subscription.url,
        "trigger": subscription.trigger,
        "secret": subscription.secret,
        "include_identifiers": subscription.include_identifiers,
    }


def _read_subscription(entry: dict[str, object]) -> Subscription:
    texts = [entry[name] for name in ("url", "trigger", "secret", "id")]
    flag = entry["include_identifiers"]
    if not isinstance(flag, bool):
        raise TypeError("include_identifiers")
    url, trigger, secret, id_ = (_text(value) for value in texts)
    return Subscription(url, trigger, secret, flag, id_)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value
