"""Options that commands share: how hooks files are read, and tenancies compared. Pure.

Each command's own options are beside its function. core/flags.py describes the declarations.
"""

from __future__ import annotations

from argparse import ArgumentTypeError

from hooksync.config.files import DEFAULT_FILE
from hooksync.core.flags import (
    EVERY,
    LOGGING_IN,
    MORE,
    OUTPUT,
    PLANNING,
    READ,
    SAFETY,
    SELECT,
    CommandOptions,
    duration,
    flag,
    number_between,
)
from hooksync.core.model import Globs, SecretRef, is_own
from hooksync.core.schema import is_certain_to_fit


def reference(text: str) -> SecretRef:
    """Read the place of a secret. No error quotes `text`, because it may be the secret itself."""
    kind, _, name = text.partition(":")
    document = {"version": 1, "defaults": {"secret": {kind: name}}}
    if not is_certain_to_fit("hooks", document):  # only some kinds are written as one text
        fix = "name the place of the secret, never the secret itself"
        raise ArgumentTypeError(f"the value is neither env:NAME nor file:PATH: {fix}")
    if kind == "env" and is_own(name):
        raise ArgumentTypeError(f"the variable {name} is for hooksync itself")
    return SecretRef.from_json({kind: name})


# flags of commands whose options have nothing else in common
HOOKS_FILES = flag(
    "-f, --file PATH",
    "hooks file (hooks.yaml), folder or -",
    READ,
    default=(DEFAULT_FILE,),
    variable="HOOKSYNC_FILE",
    repeated_by=EVERY,
)
STATE = flag(
    "--state WHERE",
    "path, git:BRANCH or object's URL",
    READ,
    default=None,
    variable="HOOKSYNC_STATE",
    repeated_by=EVERY,
)
FORMAT = flag("--format FORMAT", "%(choices)s; default: text", OUTPUT, default="text")
REPORT = flag(
    "--report FILE", "also write the result as JSON, even if steps fail", OUTPUT, default=None
)
ALL = flag("--all", "also show what is kept or left alone", OUTPUT, default=False)
MAX_AGE = flag(
    "--max-age DURATION", "longest age of the plan: 30m, 24h, 7d", SAFETY, duration, default=None
)
YES = flag(
    "-y, --yes",
    "do not prompt; needed without a terminal",
    SAFETY,
    default=False,
)
LOCK_TIMEOUT = flag(
    "--lock-timeout SECONDS",
    "wait for a run lock (default: 60; state in a file: 0)",
    read=number_between(float, 0, 86400),
    default=None,
)


class FileOptions(CommandOptions):
    """Which hooks files to read, and what they may name."""

    files: tuple[str, ...] = HOOKS_FILES
    policy: str | None = flag(
        "--policy FILE",
        "limit the run; or git:REF:PATH",
        SAFETY,
        default=None,
        variable="HOOKSYNC_POLICY",
        repeated_by=LOGGING_IN,
    )
    # a policy overrides this
    allows_commands: bool = flag(
        "--allow-commands",
        "run the programs that hooks files name for secrets",
        SAFETY,
        default=False,
        repeated_by=LOGGING_IN,
    )

    @property
    def names_files(self) -> bool:
        """Whether the command line names the files."""
        return "--file" in self.given


class EnvironmentOptions(FileOptions):
    """Which files of variables there are. They are read before the command runs."""

    env_files: tuple[str, ...] = flag(
        "--env-file FILE",
        "variables; exports override them",
        READ,
        default=(),
        variable="HOOKSYNC_ENV_FILE",
        repeated_by=LOGGING_IN,
    )


class CallOptions(EnvironmentOptions):
    """How the service and receivers are called."""

    timeout: float = flag(
        "--timeout SECONDS",
        "of a call; default: 30",
        MORE,
        number_between(float, 0.001, 3600),
        default=30.0,
        pipeline_variable="HOOKSYNC_TIMEOUT",
        repeated_by=LOGGING_IN,
    )
    is_verbose: bool = flag("-v, --verbose", "log each call on standard error", default=False)


class LogInOptions(CallOptions):
    """How a run logs in."""

    # None: the file of the working folder
    credentials: str | None = flag(
        "--credentials FILE",
        "credentials.properties of pyPreservica, to log in",
        default=None,
        repeated_by=LOGGING_IN,
    )
    parallelism: int = flag(
        "--parallelism N",
        "calls at a time over the whole run (default: 8)",
        MORE,
        number_between(int, 1, 64),
        default=8,
    )


class RunOptions(LogInOptions):
    """Which tenancies are read, and compared with what."""

    state: str | None = STATE  # None: beside the first file
    uses_state: bool = flag(
        "--no-state", "read no state, and compare no secrets", READ, default=True
    )
    tenancies: Globs = flag(
        "--tenancy GLOB",
        "only these tenancies; repeatable",
        SELECT,
        default=(),
        pipeline_variable="HOOKSYNC_TENANCY",
        repeated_by=LOGGING_IN,
    )
    targets: Globs = flag(
        "--target GLOB",
        "only tenancy/name/TRIGGER; repeatable",
        SELECT,
        default=(),
        pipeline_variable="HOOKSYNC_TARGET",
        repeated_by=("plan", "apply", "list"),
    )
    # flags of some commands
    replace: Globs = ()
    adopt: Globs = ()
    since: str | None = None
    ids: tuple[str, ...] = ()


class Options(RunOptions):
    """What a run selects and requests: the options of the library, and of `plan` and `apply`."""

    replace: Globs = flag(
        "--replace GLOB",
        "replace these addresses; repeatable",
        SELECT,
        default=(),
        pipeline_variable="HOOKSYNC_REPLACE",
        repeated_by=PLANNING,
    )
    adopt: Globs = flag(
        "--adopt GLOB",
        "adopt what is live there; repeatable",
        SELECT,
        default=(),
        pipeline_variable="HOOKSYNC_ADOPT",
        repeated_by=PLANNING,
    )
