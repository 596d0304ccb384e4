"""The declared and the live subscriptions of a benchmark. Each is made from its number."""

from __future__ import annotations

import json
from pathlib import Path

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox

TENANT = "DEMO"
SECRET = "a-shared-secret-of-the-benchmarks"
HEAD = f"""\
version: 1
tenancies:
  demo:
    server: ${{BOX}}
    tenant: {TENANT}
    probe: never
    subscriptions:
"""
ENTRY = """\
      hook-{number:06d}:
        url: {url}
        trigger: INDEXED
        secret: {{env: HOOK_SECRET}}
        include_identifiers: {flag}
"""


def url_of(number: int) -> str:
    """Return the URL of a subscription."""
    return f"https://fn.example.net/api/hook/{number:06d}"


def write_hooks(path: Path, count: int, *, differs: bool) -> None:
    """Write a hooks file with so many subscriptions.

    `differs`: of each 100, one has a different flag, one is new, and a live one is not declared.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        for number in range(count):
            place = number % 100 if differs else None
            declared = count + number if place == 20 else number
            flag = "false" if place == 10 else "true"
            file.write(ENTRY.format(number=declared, url=url_of(declared), flag=flag))


def start_box(count: int = 0, latency: float = 0.0, *, tenancies: int = 0) -> Sandbox:
    """Start a sandbox in which the first so many subscriptions are live. `latency`: seconds of each
    call; `tenancies`: so many empty ones beside it.
    """
    tenants = (TENANT, *(f"T{number:03d}" for number in range(tenancies)))
    options = SandboxOptions((Account(tenants=tenants),), traits=frozenset({"no-challenge"}))
    box = Sandbox(options)
    box.latency = latency
    for number in range(count):
        box.seed(TENANT, url_of(number), "FULL_TEXT_INDEXED", SECRET)
    return box


def write_list(path: Path, count: int) -> None:
    """Write the list of so many live subscriptions, as a sandbox sends it."""
    held = [
        {
            "id": f"{number:032x}",
            "url": url_of(number),
            "triggerType": "FULL_TEXT_INDEXED",
            "includeIdentifiers": True,
        }
        for number in range(count)
    ]
    path.write_text(json.dumps(held), encoding="utf-8")


def write_many(path: Path, tenancies: int, each: int, *, own_secrets: bool = False) -> None:
    """Write a hooks file with so many tenancies, and so many subscriptions in each.

    `own_secrets`: each tenancy has the secret of a variable of its own, of `secrets_of`.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write("version: 1\ntenancies:\n")
        for number in range(tenancies):
            lines = HEAD.partition("tenancies:\n")[2].replace("demo:", f"t{number:03d}:")
            file.write(lines.replace(f"tenant: {TENANT}", f"tenant: T{number:03d}"))
            for place in range(each):
                entry = ENTRY.format(number=place, url=url_of(place), flag="true")
                variable = f"HOOK_SECRET_{number}" if own_secrets else "HOOK_SECRET"
                file.write(entry.replace("HOOK_SECRET", variable))


def secrets_of(tenancies: int) -> dict[str, str]:
    """Return the variables with the secrets of so many tenancies."""
    return {f"HOOK_SECRET_{number}": f"{SECRET}-{number}" for number in range(tenancies)}
