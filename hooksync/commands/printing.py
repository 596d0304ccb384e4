"""The commands `schema`, `secret generate` and `version`."""

from __future__ import annotations

import json
import platform
import secrets
from typing import Literal

from hooksync import __version__
from hooksync.api.options import FORMAT
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.flags import OUTPUT, CommandOptions, flag
from hooksync.core.schema import SchemaKind, schema_text

_RANDOM_BYTES = 32  # of a new secret; as many as HMAC-SHA256 uses
# what hooksync runs on, its extras included
_LIBRARIES = (
    "deepdiff",
    "filelock",
    "jsonschema",
    "msgspec",
    "obstore",
    "pyotp",
    "python-dotenv",
    "pyyaml",
    "requests",
    "shtab",
    "urllib3",
)


class SchemaOptions(CommandOptions):
    """The flags of `schema`."""

    kind: SchemaKind = flag(
        "--kind KIND",
        "the document: hooks (the hooks file, by default), policy, state, plan (--format json"
        " of plan, apply and list), notice (what --notify sends) or error (what --format json"
        " prints without a result)",
        OUTPUT,
        default="hooks",
    )


class VersionOptions(CommandOptions):
    """The flags of `version`."""

    format: Literal["text", "json"] = FORMAT


def schema(options: SchemaOptions, context: Context) -> ExitCode:
    """Show a JSON Schema."""
    context.terminal.result(schema_text(options.kind), "json")
    return ExitCode.DONE


def generate(options: CommandOptions, context: Context) -> ExitCode:
    """Print a new secret: letters, digits, `-` and `_`. No other command prints a secret."""
    context.terminal.result(f"{secrets.token_urlsafe(_RANDOM_BYTES)}\n")
    return ExitCode.DONE


def version(options: VersionOptions, context: Context) -> ExitCode:
    """Show the version; as JSON also what hooksync runs on."""
    if options.format == "text":
        context.terminal.result(f"hooksync {__version__}\n")
        return ExitCode.DONE
    from importlib.metadata import distributions  # 20 ms, which `secret generate` does not need

    libraries = {}
    for found in distributions():
        if found.name.lower() in _LIBRARIES:
            libraries[found.name.lower()] = found.version
    document = {
        "hooksync": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": libraries,
    }
    context.terminal.result(json.dumps(document, indent=2, sort_keys=True) + "\n", "json")
    return ExitCode.DONE
