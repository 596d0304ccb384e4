"""The command `init`: writes a first hooks file, either starter.yaml or a draft of what is live.

A draft adopts what it declares. A warning names each subscription that a file cannot declare.
PyYAML writes all data from outside, so no text is read as YAML syntax.

Variables replace secrets, and what is masked in URLs: values of queries, and key-like segments.
Only --from-live loads the modules for the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from hooksync.api.options import LogInOptions, RunOptions
from hooksync.config.files import DEFAULT_FILE, Source
from hooksync.config.yaml_loader import write_yaml
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Interrupted,
    Problem,
    UsageError,
    pluralised,
)
from hooksync.core.flags import flag
from hooksync.core.git import takes_file
from hooksync.core.model import TRIGGER_NAMES, LiveSubscription
from hooksync.core.output import taken
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.template import escape
from hooksync.core.urls import (
    masked_url,
    owns_url,
    url_fault,
)
from hooksync.reconcile.plan import NEEDS_DECLARED, TenancyPlan

_WRITE = "what to write"  # a title in the help text
_VARIABLES = "set these before you use the file (--env-file FILE adds the parts of URLs to FILE):"

_DECLARABLE = re.compile("[A-Za-z][A-Za-z0-9_]*")  # the pattern of a trigger in the schema
_NAME = re.compile("[A-Za-z0-9_-]+")  # the pattern of a name in the schema
_LONGEST = 60  # characters of a name, without the number that makes it unique
_PORT = re.compile(":[0-9]+")
_NOT_A_WORD = re.compile("[^A-Za-z0-9]+")

_HEAD = """\
# yaml-language-server: $schema=./hooks.schema.json
#
# `hooksync init --from-live` wrote this file from the live webhook subscriptions. It contains no
# secrets, no query values of URLs and no keys in their paths, only names of variables.
# Which of these subscriptions are yours? Delete the others from this file: hooksync leaves alone
# what it did not make or adopt, unless `owns` says something else. Then set the variables, and run
#   hooksync check            asks the receivers whether they have these secrets
#   hooksync plan             shows what apply adopts: nothing changes in Preservica
#   hooksync apply            adopts it: hooksync owns it from then on
# Delete the lines `adopt` after that. If nobody knows a secret any more, delete its line `adopt`
# now, make a new secret, give it to the receiver, and run `hooksync apply --replace ADDRESS`.
# Editors check this file by the first line, after `hooksync schema > hooks.schema.json`.
"""
_OWNS = """
    # what hooksync may remove if no file declares it: made (or adopted by it), all, none, or URL
    # prefixes
    owns: made
"""
_OTHERS = """\
      # Live, and not under your prefixes. To declare one, remove "# " from its lines, and {} above.
"""

Section = dict[str, object]  # as in the file
Entries = dict[str, Section]  # by name
Needs = dict[str, str]  # variables, with the value of one that is a part of a URL


class InitOptions(LogInOptions):
    """The flags of `init`."""

    path: str = flag(
        "-f, --file PATH",
        "the file to write (default: hooks.yaml); - prints it",
        _WRITE,
        default=DEFAULT_FILE,
    )
    # (): everything that is live; None: starter.yaml
    from_live: tuple[str, ...] | None = flag(
        "--from-live [URL-PREFIX ...]",
        "write what is live; what is under no prefix, as comments",
        _WRITE,
        default=None,
    )
    defaults: str = flag(
        "--defaults FILE",
        "with --from-live: take the shared defaults of this file",
        _WRITE,
        default="",
    )
    name: str | None = flag(
        "--name NAME", "the tenancy's name (default: its tenant)", _WRITE, default=None
    )
    # no flags of `init`
    files: tuple[str, ...] = ()
    allows_commands: bool = False
    parallelism: int = 8


def init(options: InitOptions, context: Context) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    if options.path != "-" and os.path.lexists(options.path):  # before any call to Preservica
        raise FileError.of([taken(options.path)])
    if options.name and not _NAME.fullmatch(options.name):
        raise UsageError(f'"{options.name}" is no name', "write letters, digits, - and _")
    if options.from_live is not None:
        return _init_from_live(options, options.from_live, context)
    with open(os.path.join(os.path.dirname(__file__), "starter.yaml"), encoding="utf-8") as starter:
        _write(options.path, starter.read(), context)
    context.terminal.message(
        "next: fill in your receivers and triggers, then run `hooksync validate`"
    )
    return ExitCode.DONE


def _init_from_live(options: InitOptions, prefixes: Sequence[str], context: Context) -> ExitCode:
    """Write what is live. Only this user can read the file.

    If the command line names an env file, it gets the keys of the declared URLs.
    """
    key_file = options.env_files[-1] if "--env-file" in options.given else ""
    if key_file and takes_file(key_file, context.environ):
        fix = f"write {os.path.basename(key_file)} into .gitignore, or leave out --env-file"
        raise FileError(f"Git tracks {key_file} or would add it, and keys are secret", fix)
    plan = _read_live(options, context)
    for prefix in prefixes:
        if not any(owns_url(frozenset([prefix]), hook.url.full) for hook in plan.live):
            fix = "`hooksync init --from-live --file -` prints what is live"
            raise UsageError(f"no live subscription is under {prefix}", fix)
    draft = _draft_of(plan, options.name, prefixes)
    folder = os.path.dirname(options.path)
    defaults = options.defaults and os.path.relpath(options.defaults, folder)
    _write(options.path, draft.text(plan.server, plan.tenant, defaults), context, 0o600)
    context.terminal.warn(*draft.warnings)
    _report_needs(draft.needs, key_file, context)
    return ExitCode.DONE


def _draft_of(plan: TenancyPlan, name: str | None, prefixes: Sequence[str]) -> Draft:
    """Draft a tenancy. Of what the shared defaults declare, it has the ids to adopt."""
    adopted: dict[str, list[str]] = {}
    others = []
    for step in plan.steps:
        if step.declared:
            ids = adopted.setdefault(step.declared.name, [])
            if step.live and step.action in NEEDS_DECLARED:
                ids.append(step.live.id)
        else:
            others.append(step.live_side)
    return Draft(name or slug(plan.tenant or "", plan.name), others, prefixes, adopted)


def _report_needs(needs: Needs, key_file: str, context: Context) -> None:
    """Add the keys of URLs to a file of variables, if one is named, and name what is to be set."""
    added = []
    unset = ""
    for variable, value in needs.items():
        if key_file and value:
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")  # as python-dotenv reads it
            added.append(f"export {variable}='{quoted}'\n")
        else:
            unset += f"\n  {variable}"
    if added:
        context.output.add_variables(key_file, "".join(added))
        number = pluralised(len(added), "variable")
        context.terminal.message(f"added {number} of URLs to {printable(key_file)}")
    if unset:
        context.terminal.message(_VARIABLES + unset)


def _read_live(options: InitOptions, context: Context) -> TenancyPlan:
    """Plan the tenancy that PRESERVICA_* name. If no variable names its tenant, the log-in does.

    Only the shared defaults declare something. Raises HooksyncError if it cannot be read.
    """
    from hooksync.api import run as library  # 100 ms, for requests
    from hooksync.api.inputs import prepare
    from hooksync.config.document import read_tenancies

    name = options.name or slug(context.environ.get("PRESERVICA_TENANT", ""), "tenancy")
    tenancies: Section = {name: {"subscriptions": {}}}
    document: Section = {"version": 1, "defaults": options.defaults or {}, "tenancies": tenancies}
    # problems of what no file declares are those of the environment
    [entry] = read_tenancies([Source("the environment", write_yaml(document).encode())])
    entries = [replace(entry, files=entry.files[1:])]  # a policy judges files
    settings = RunOptions(uses_state=False, policy=options.policy, timeout=options.timeout)
    made = library.plan(prepare(settings, context, entries=entries))
    [plan] = made.tenancies
    if made.is_interrupted:
        raise Interrupted("interrupted, nothing was written", "run it again")
    if plan.live_count is None:
        raise HooksyncError.of([*plan.errors, *plan.refusals])
    return plan


def _write(path: str, text: str, context: Context, mode: int = 0o644) -> None:
    """Print a text, or write it to a new file."""
    if path == "-":
        context.terminal.result(text)
        return
    context.output.create_file(path, text, mode)
    context.terminal.result(f"wrote {printable(path)}\n")


class Draft:
    """The live subscriptions of a tenancy, as entries of a hooks file."""

    def __init__(
        self,
        tenancy: str,
        live: Iterable[LiveSubscription],
        prefixes: Iterable[str] = (),
        adopted: Mapping[str, list[str]] = {},
    ) -> None:
        """Make the entries. `prefixes`: only what is under one is declared; (): everything.

        `adopted`: the live ids of each subscription that the shared defaults declare.
        """
        self.tenancy = tenancy  # its name
        self.entries: Entries = {name: {"adopt": ids} for name, ids in adopted.items() if ids}
        self.others: Entries = {}  # what is not declared
        self.needs: Needs = {}  # what the user has to set
        self.warnings: list[Problem] = []  # about subscriptions that no file can declare
        self.triggers: set[str] = set()  # of all entries, as the service writes them
        self._taken = {*adopted}  # names of entries and variables
        for several in self._declarable(live):
            if not prefixes or owns_url(frozenset(prefixes), several[0].url.full):
                self._add_entry(several, self.entries, self.needs)
            else:
                self._add_entry(several, self.others, {})  # nobody has to set its variables

    def _declarable(self, live: Iterable[LiveSubscription]) -> Iterable[list[LiveSubscription]]:
        """Return what each entry declares, and warn of what no file can declare."""
        keys = set()
        groups: dict[tuple[str, str], list[LiveSubscription]] = {}
        # the list is in no fixed order
        for item in sorted(live, key=lambda item: (*_url_and_content(item), item.trigger)):
            fault = ""
            if url_problem := url_fault(item.url.full):
                fault = f"its URL {url_problem}"
            elif not _DECLARABLE.fullmatch(item.trigger):
                fault = "a hooks file cannot hold the name of its trigger"
            elif item.key in keys:
                fault = "it is live more than once, and in the file once"
            keys.add(item.key)
            if fault:
                shown = f"{item.url.shown} {item.trigger.shown}"
                what = printable(f"{self.tenancy}: {shown} is left out: {fault}")
                fix = "nothing, if it is not yours: with `owns: made`, hooksync leaves it alone"
                self.warnings.append(Problem(what, fix))
            else:
                self.triggers.add(str(item.trigger))
                groups.setdefault(_url_and_content(item), []).append(item)
        return groups.values()

    def _add_entry(self, live: Sequence[LiveSubscription], entries: Entries, needs: Needs) -> None:
        """Add the entry of subscriptions with the same URL and content."""
        url = live[0].url
        address = _PORT.sub("", url.shown.partition("://")[2])
        name = self._unique(slug(address.partition("?")[0], "hook"), "-")

        def variable(key: str, value: str) -> str:
            """Put a variable in the place of a part of the URL that may be a key."""
            return f"${{{self._need(needs, value.replace('$$', '$'), name, 'url', key)}}}"

        secret = self._need(needs, "", name, "secret")
        triggers = sorted(item.trigger.short for item in live)
        entry: Section = {
            "url": masked_url(escape(url.full), variable),
            "triggers": triggers,
            "secret": {"env": secret},
            "adopt": [item.id for item in live],
        }
        for field, value in live[0].content.items():
            if value is not None:  # the service reports it
                entry[field] = value
        entries[name] = entry

    def _need(self, needs: Needs, value: str, *words: str) -> str:
        """Add a variable, named by words. Returns its name, which nothing else reserves."""
        written = _NOT_A_WORD.sub("_", "_".join(("hook", *words))).strip("_").upper()
        variable = self._unique(written, "_")
        needs[variable] = value
        return variable

    def _unique(self, name: str, separator: str) -> str:
        """Return a name that differs from all others, with a number if needed."""
        unique = name
        number = 1
        while unique in self._taken:
            number += 1
            unique = f"{name}{separator}{number}"
        self._taken.add(unique)
        return unique

    def text(self, server: str, tenant: str | None, defaults: str = "") -> str:
        """Return the text of the hooks file. What it does not declare is written as comments.

        `defaults`: the file whose defaults it takes.
        """
        document: Section = {"version": 1}
        if defaults:
            document["defaults"] = defaults
        extra = self.triggers.difference(TRIGGER_NAMES, TRIGGER_NAMES.values())
        if extra:
            document["extra_triggers"] = sorted(extra)
        settings: Section = {"server": server}
        if tenant:
            settings["tenant"] = escape(tenant)
        if not defaults:  # which may decide it
            settings["owns"] = "made"
        settings["subscriptions"] = self.entries
        document["tenancies"] = {self.tenancy: settings}
        text = write_yaml(document).replace("\n    owns: made\n", _OWNS, 1)
        if self.others:
            lines = write_yaml(self.others).splitlines()
            text += _OTHERS + "".join(f"      # {line}\n" for line in lines)
        return _HEAD + text


def _url_and_content(item: LiveSubscription) -> tuple[str, str]:
    """Return what the subscriptions of one entry have in common."""
    return item.url.identity, str(item.content)


def slug(text: str, otherwise: str) -> str:
    """Make a name of small letters, digits and hyphens from any text."""
    return _NOT_A_WORD.sub("-", text).strip("-")[:_LONGEST].strip("-").lower() or otherwise
